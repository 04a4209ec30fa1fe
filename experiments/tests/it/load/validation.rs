//! What the person sees who wrote a specification that makes no sense.

use experiments::load::spec::TrialSpec;
use serde_json::{Value, json};

fn message(change: impl FnOnce(&mut Value)) -> String {
    let mut spec = json!({
        "version": 2, "targets": [{"base_url": "http://127.0.0.1:8080"}], "seed": 1, "users": 4, "output": "result.json",
        "phases": [{"name": "warm-up", "duration_s": 1, "measured": false}, {"name": "steady", "duration_s": 2, "rate_per_s": 100}],
        "mix": [{"name": "post", "weight": 1, "path": "/posts/{id}", "ids": {"zipf": {"count": 10, "exponent": 1.1}}}],
    });
    change(&mut spec);
    match TrialSpec::parse(&spec.to_string()) {
        Ok(_) => "accepted".to_owned(),
        // The place in the text depends on the order of keys only.
        Err(error) => format!("{error:#}").split(" at line").next().unwrap_or_default().to_owned(),
    }
}

fn start() -> Value {
    json!({"name": "start", "weight": 0, "method": "POST", "path": "/start", "expect": {"status": [303]}})
}

fn with_start(spec: &mut Value, change: impl FnOnce(&mut Value)) {
    spec["cookies"] = json!("per_user");
    spec["session_start"] = start();
    change(&mut spec["session_start"]);
}

#[test]
fn absurd_values_are_named() {
    let cases: Vec<String> = vec![
        message(|_| {}),
        message(|spec| spec["version"] = json!(1)),
        message(|spec| spec["user"] = json!(4)),
        message(|spec| drop(spec.as_object_mut().unwrap().remove("seed"))),
        message(|spec| spec["users"] = json!("many")),
        message(|spec| spec["users"] = json!(0)),
        message(|spec| spec["targets"][0]["base_url"] = json!("localhost:80")),
        message(|spec| spec["targets"][0]["base_url"] = json!("http://localhost/blog")),
        message(|spec| spec["targets"] = json!([])),
        message(|spec| spec["targets"][0]["headers"] = json!({"post": {"Authorization": "Bearer x"}})),
        message(|spec| spec["targets"][0]["headers"] = json!({"posts": {"Authorization": "Bearer x"}})),
        message(|spec| spec["targets"][0]["headers"] = json!({"post": {"Cookie": "x=y"}})),
        message(|spec| {
            spec["mix"][0]["headers"] = json!({"accept": "a"});
            spec["targets"][0]["headers"] = json!({"post": {"Accept": "b"}});
        }),
        message(|spec| spec["worker"] = json!({"index": 2, "count": 2})),
        message(|spec| spec["requests_per_session"] = json!(5)),
        message(|spec| spec["phases"] = json!([])),
        message(|spec| spec["phases"][1]["duration_s"] = json!(0)),
        message(|spec| spec["phases"][1]["rate_per_s"] = json!(-3)),
        message(|spec| spec["phases"][1]["rate_per_s"] = json!(0.01)),
        message(|spec| spec["phases"][1]["target"] = json!(1)),
        message(|spec| spec["phases"][1]["pause_s"] = json!(-1)),
        message(|spec| spec["phases"][1]["name"] = json!("warm-up")),
        message(|spec| spec["phases"][1]["measured"] = json!(false)),
        message(|spec| spec["phases"].as_array_mut().unwrap().reverse()),
        message(|spec| spec["phases"][1]["duration_s"] = json!(80000)),
        message(|spec| {
            spec["phases"][1]["duration_s"] = json!(80000);
            spec["phases"][1]["rate_per_s"] = json!(1000);
        }),
        message(|spec| spec["mix"][0]["path"] = json!("posts")),
        message(|spec| spec["mix"][0]["path"] = json!("/posts")),
        message(|spec| spec["mix"][0]["weight"] = json!(0)),
        message(|spec| spec["mix"][0]["ids"] = json!({"zipf": {"count": 0, "exponent": 1}})),
        message(|spec| spec["mix"][0]["ids"] = json!({"zapf": {}})),
        message(|spec| spec["mix"][0]["method"] = json!("get")),
        message(|spec| spec["mix"][0]["form"] = json!({"content": "x"})),
        message(|spec| spec["mix"][0]["expect"] = json!({"status": [999]})),
        message(|spec| spec["mix"][0]["headers"] = json!({"Idempotency-Key": "1"})),
        message(|spec| spec["mix"][0]["headers"] = json!({"two words": "1"})),
        message(|spec| spec["mix"][0]["headers"] = json!({"Cookie": "session=1"})),
        message(|spec| spec["mix"][0]["headers"] = json!({"accept": "a", "Accept": "b"})),
        message(|spec| spec["mix"][0]["headers"] = json!({"accept": "é"})),
        message(|spec| spec["mix"][0]["headers"] = json!(["accept"])),
        message(|spec| spec["session_start"] = start()),
        message(|spec| with_start(spec, |_| {})),
        message(|spec| with_start(spec, |start| start["weight"] = json!(1))),
        message(|spec| with_start(spec, |start| start["name"] = json!("post"))),
        message(|spec| with_start(spec, |start| start["path"] = json!("/{id}"))),
    ];
    insta::assert_snapshot!(cases.join("\n"), @r#"
    accepted
    field `version` is `1`; accepted: 2
    unknown field `user`, expected one of `version`, `targets`, `seed`, `users`, `worker`, `arrivals`, `cookies`, `requests_per_session`, `timeout_s`, `drain_limit_s`, `cpu_list`, `phases`, `mix`, `session_start`, `output`
    missing field `seed`
    invalid type: string "many", expected u32
    field `users` is `0`; accepted: 1 to 10000
    field `targets[0].base_url` is `localhost:80`; accepted: `http://HOST:PORT` without a path
    field `targets[0].base_url` is `http://localhost/blog`; accepted: `http://HOST:PORT` without a path
    field `targets` is `[]`; accepted: at least one target
    accepted
    field `targets[0].headers` is `posts`; accepted: names of endpoints
    field `targets[0].headers.post` is `Cookie`; accepted: headers that the generator does not set itself
    field `targets[0].headers.post` is `post`; accepted: headers that the endpoint itself does not have
    field `worker.index` is `2`; accepted: less than `worker.count`
    field `requests_per_session` is `5`; accepted: null unless `cookies` is `per_user`
    field `phases` is `[]`; accepted: at least one phase
    field `phases[1].duration_s` is `0`; accepted: 0.01 to 86400
    field `phases[1].rate_per_s` is `-3`; accepted: above 0, at most 1000000, or null for a closed loop
    field `phases[1].rate_per_s` is `0.01`; accepted: a rate that gives at least one request in the phase
    field `phases[1].target` is `1`; accepted: the place of one of the `targets`, from 0
    field `phases[1].pause_s` is `-1`; accepted: 0 to 3600
    field `phases[1].name` is `warm-up`; accepted: a name that no other phase has
    field `phases` is `all unmeasured`; accepted: at least one phase with `measured` true
    field `phases[1].measured` is `false`; accepted: true, once a phase before it is measured
    accepted
    field `phases` is `80000000 requests`; accepted: at most 20000000 requests in all phases with a rate
    field `mix[0].path` is `posts`; accepted: a path that begins with `/`
    field `mix[0].ids` is `present`; accepted: present exactly when `path` or `form` contains `{id}`
    field `mix` is `weights that sum to 0`; accepted: at least one weight above 0
    field `mix[0].ids.zipf.count` is `0`; accepted: at least 1
    unknown variant `zapf`, expected one of `zipf`, `uniform`, `fixed`, `list`
    unknown variant `get`, expected one of `GET`, `HEAD`, `POST`
    field `mix[0].form` is `filled`; accepted: empty unless `method` is `POST`
    field `mix[0].expect.status` is `[999]`; accepted: codes from 100 to 599
    accepted
    field `mix[0].headers` is `two words`; accepted: names of headers: letters, digits and `-`
    field `mix[0].headers` is `Cookie`; accepted: headers that the generator does not set itself
    field `mix[0].headers` is `Accept`; accepted: each header once
    field `mix[0].headers.accept` is `é`; accepted: visible ASCII, not empty
    invalid type: sequence, expected a map
    field `session_start` is `present`; accepted: null unless `cookies` is `per_user`
    accepted
    field `session_start.weight` is `1`; accepted: 0, because it comes on top of the mix
    field `session_start.name` is `post`; accepted: a name that no other endpoint has
    field `session_start.ids` is `null`; accepted: present exactly when `path` or `form` contains `{id}`
    "#);
}

#[test]
fn a_lead_is_shorter_than_its_phase() {
    let with_lead = |lead_s: f64| message(|spec| spec["phases"][1]["lead_s"] = json!(lead_s));
    assert_eq!(with_lead(1.9), "accepted");
    for lead_s in [2.0, 60.0, -0.5] {
        let said = with_lead(lead_s);
        assert!(said.starts_with("field `phases[1].lead_s` is `"), "{said}");
        assert!(said.ends_with("accepted: 0 or more, and less than `duration_s`"), "{said}");
    }
}
