//! The limits of a specification's values. Each message names the field, the value found and what is accepted, because the
//! person who reads it sees a JSON file and not this code.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};
use thiserror::Error;

use super::spec::{Cookies, Endpoint, Ids, Phase, SPEC_VERSION, TrialSpec};

/// More tickets than this do not fit comfortably into memory.
const MOST_TICKETS: f64 = 20_000_000.0;

/// A value that a trial cannot run with.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("field `{field}` is `{value}`; accepted: {accepted}")]
pub struct InvalidField {
    /// Where it is, such as `phases[1].duration_s`.
    pub field: String,
    /// What was found.
    pub value: String,
    /// What would do.
    pub accepted: &'static str,
}

fn check(
    good: bool,
    field: impl Into<String>,
    value: impl ToString,
    accepted: &'static str,
) -> Result<(), InvalidField> {
    if good {
        return Ok(());
    }
    Err(InvalidField { field: field.into(), value: value.to_string(), accepted })
}

impl TrialSpec {
    /// Checks every value.
    ///
    /// # Errors
    /// The first field that makes no sense.
    pub fn validate(&self) -> Result<(), InvalidField> {
        check(self.version == SPEC_VERSION, "version", self.version, "2")?;
        check((1..=10_000).contains(&self.users), "users", self.users, "1 to 10000")?;
        check(self.worker.count >= 1, "worker.count", self.worker.count, "at least 1")?;
        check(self.worker.index < self.worker.count, "worker.index", self.worker.index, "less than `worker.count`")?;
        check((1..=600).contains(&self.timeout_s), "timeout_s", self.timeout_s, "1 to 600")?;
        check(self.drain_limit_s <= 600, "drain_limit_s", self.drain_limit_s, "0 to 600")?;
        if let Some(requests) = self.requests_per_session {
            check(requests >= 1, "requests_per_session", requests, "at least 1, or null for endless sessions")?;
            check(
                self.cookies == Cookies::PerUser,
                "requests_per_session",
                requests,
                "null unless `cookies` is `per_user`",
            )?;
        }
        let known = self.cpu_list.iter().all(|&cpu| cpu < 1024);
        check(known, "cpu_list", format!("{:?}", self.cpu_list), "numbers of processors, below 1024")?;
        check(!self.output.as_os_str().is_empty(), "output", "", "the path of a file to write")?;
        self.validate_targets()?;
        self.validate_phases()?;
        self.validate_mix()?;
        self.session_start.as_ref().map_or(Ok(()), |start| self.validate_session_start(start))
    }

    fn validate_targets(&self) -> Result<(), InvalidField> {
        check(!self.targets.is_empty(), "targets", "[]", "at least one target")?;
        for (index, target) in self.targets.iter().enumerate() {
            let address = target.base_url.parse::<reqwest::Url>();
            let usable = address.is_ok_and(|url| {
                url.scheme() == "http" && url.has_host() && url.path() == "/" && url.query().is_none()
            });
            let at = format!("targets[{index}]");
            check(usable, format!("{at}.base_url"), &target.base_url, "`http://HOST:PORT` without a path")?;
            for (name, headers) in &target.headers {
                let endpoint = self.mix.iter().chain(&self.session_start).find(|endpoint| endpoint.name == *name);
                check(endpoint.is_some(), format!("{at}.headers"), name, "names of endpoints")?;
                let repeated = endpoint.is_some_and(|endpoint| headers.keys().any(|key| has(&endpoint.headers, key)));
                check(
                    !repeated,
                    format!("{at}.headers.{name}"),
                    name,
                    "headers that the endpoint itself does not have",
                )?;
                validate_headers(headers, &format!("{at}.headers.{name}"))?;
            }
        }
        Ok(())
    }

    fn validate_phases(&self) -> Result<(), InvalidField> {
        check(!self.phases.is_empty(), "phases", "[]", "at least one phase")?;
        check(self.phases.len() <= 1000, "phases", self.phases.len(), "at most 1000 phases")?;
        let mut measuring = false;
        let mut ticket_count = 0.0;
        for (index, phase) in self.phases.iter().enumerate() {
            validate_phase(phase, index)?;
            let repeated = self.phases[..index].iter().any(|earlier| earlier.name == phase.name);
            check(!repeated, format!("phases[{index}].name"), &phase.name, "a name that no other phase has")?;
            check(
                !measuring || phase.measured,
                format!("phases[{index}].measured"),
                phase.measured,
                "true, once a phase before it is measured",
            )?;
            measuring |= phase.measured;
            let known = phase.target < self.targets.len();
            check(known, format!("phases[{index}].target"), phase.target, "the place of one of the `targets`, from 0")?;
            ticket_count += phase.rate_per_s.unwrap_or(0.0) * phase.duration_s;
        }
        check(measuring, "phases", "all unmeasured", "at least one phase with `measured` true")?;
        check(
            ticket_count <= MOST_TICKETS,
            "phases",
            format!("{ticket_count} requests"),
            "at most 20000000 requests in all phases with a rate",
        )
    }

    fn validate_mix(&self) -> Result<(), InvalidField> {
        check(!self.mix.is_empty(), "mix", "[]", "at least one endpoint")?;
        check(self.mix.len() <= 1000, "mix", self.mix.len(), "at most 1000 endpoints")?;
        for (index, endpoint) in self.mix.iter().enumerate() {
            validate_endpoint(endpoint, &format!("mix[{index}]"))?;
            let repeated = self.mix[..index].iter().any(|earlier| earlier.name == endpoint.name);
            check(!repeated, format!("mix[{index}].name"), &endpoint.name, "a name that no other endpoint has")?;
        }
        let weight: u64 = self.mix.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
        check(weight > 0, "mix", "weights that sum to 0", "at least one weight above 0")
    }

    fn validate_session_start(&self, start: &Endpoint) -> Result<(), InvalidField> {
        let at = "session_start";
        let keeps_cookies = self.cookies == Cookies::PerUser;
        check(keeps_cookies, at, "present", "null unless `cookies` is `per_user`")?;
        validate_endpoint(start, at)?;
        check(start.weight == 0, format!("{at}.weight"), start.weight, "0, because it comes on top of the mix")?;
        let repeated = self.mix.iter().any(|endpoint| endpoint.name == start.name);
        check(!repeated, format!("{at}.name"), &start.name, "a name that no other endpoint has")
    }
}

/// Set by the generator itself.
const OWN_HEADERS: [&str; 7] =
    ["connection", "content-length", "content-type", "cookie", "host", "transfer-encoding", "user-agent"];

fn validate_phase(phase: &Phase, index: usize) -> Result<(), InvalidField> {
    check(!phase.name.trim().is_empty(), format!("phases[{index}].name"), &phase.name, "a name")?;
    // Written as a positive condition, so that NaN fails it.
    let length_fits = phase.duration_s >= 0.01 && phase.duration_s <= 86_400.0;
    check(length_fits, format!("phases[{index}].duration_s"), phase.duration_s, "0.01 to 86400")?;
    let pause_fits = phase.pause_s >= 0.0 && phase.pause_s <= 3_600.0;
    check(pause_fits, format!("phases[{index}].pause_s"), phase.pause_s, "0 to 3600")?;
    let lead_fits = phase.lead_s >= 0.0 && phase.lead_s < phase.duration_s;
    check(lead_fits, format!("phases[{index}].lead_s"), phase.lead_s, "0 or more, and less than `duration_s`")?;
    if let Some(rate) = phase.rate_per_s {
        let rate_fits = rate > 0.0 && rate <= 1_000_000.0;
        check(
            rate_fits,
            format!("phases[{index}].rate_per_s"),
            rate,
            "above 0, at most 1000000, or null for a closed loop",
        )?;
        let any = (rate * phase.duration_s).round() >= 1.0;
        check(any, format!("phases[{index}].rate_per_s"), rate, "a rate that gives at least one request in the phase")?;
    }
    Ok(())
}

fn validate_endpoint(endpoint: &Endpoint, at: &str) -> Result<(), InvalidField> {
    check(!endpoint.name.trim().is_empty(), format!("{at}.name"), &endpoint.name, "a name")?;
    check(endpoint.path.starts_with('/'), format!("{at}.path"), &endpoint.path, "a path that begins with `/`")?;
    let form_uses_id = endpoint.form.values().any(|value| value.contains("{id}"));
    let uses_id = form_uses_id || endpoint.path.contains("{id}");
    check(
        uses_id == endpoint.ids.is_some(),
        format!("{at}.ids"),
        id_word(endpoint),
        "present exactly when `path` or `form` contains `{id}`",
    )?;
    let sends_form = endpoint.form.is_empty() || endpoint.method == super::spec::Method::Post;
    check(sends_form, format!("{at}.form"), "filled", "empty unless `method` is `POST`")?;
    validate_headers(&endpoint.headers, &format!("{at}.headers"))?;
    check(!endpoint.expect.status.is_empty(), format!("{at}.expect.status"), "[]", "at least one status code")?;
    let codes_fit = endpoint.expect.status.iter().all(|code| (100..=599).contains(code));
    check(codes_fit, format!("{at}.expect.status"), format!("{:?}", endpoint.expect.status), "codes from 100 to 599")?;
    match &endpoint.ids {
        Some(Ids::Zipf { count, exponent }) => {
            check(*count >= 1, format!("{at}.ids.zipf.count"), count, "at least 1")?;
            let skew_fits = *exponent >= 0.0 && *exponent <= 10.0;
            check(skew_fits, format!("{at}.ids.zipf.exponent"), exponent, "0 to 10")
        }
        Some(Ids::Uniform { count }) => check(*count >= 1, format!("{at}.ids.uniform.count"), count, "at least 1"),
        Some(Ids::Fixed { id }) => check(!id.is_empty(), format!("{at}.ids.fixed.id"), id, "an id"),
        Some(Ids::List { values }) => {
            check(!values.is_empty(), format!("{at}.ids.list.values"), "[]", "at least one id")
        }
        None => Ok(()),
    }
}

fn validate_headers(headers: &BTreeMap<String, String>, at: &str) -> Result<(), InvalidField> {
    for (name, value) in headers {
        let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok();
        check(is_name, at, name, "names of headers: letters, digits and `-`")?;
        let is_free = !OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name));
        check(is_free, at, name, "headers that the generator does not set itself")?;
        let repeated = headers.keys().filter(|other| other.eq_ignore_ascii_case(name)).count() > 1;
        check(!repeated, at, name, "each header once")?;
        let has_value = !value.is_empty() && HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok());
        check(has_value, format!("{at}.{name}"), value, "visible ASCII, not empty")?;
    }
    Ok(())
}

fn has(headers: &BTreeMap<String, String>, name: &str) -> bool {
    headers.keys().any(|key| key.eq_ignore_ascii_case(name))
}

fn id_word(endpoint: &Endpoint) -> &'static str {
    if endpoint.ids.is_some() { "present" } else { "null" }
}
