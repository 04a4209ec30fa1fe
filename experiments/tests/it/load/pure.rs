//! Properties of the schedule, the draws and the recorder.

use std::sync::Arc;

use experiments::load::recorder::{CacheStatus, LONGEST_US, Recorder, Sample, SparseHistogram};
use experiments::load::request::Mix;
use experiments::load::schedule::{Ticket, part, tickets};
use experiments::load::spec::{Arrivals, Ids, Phase, WorkerPart};
use proptest::prelude::*;

fn rated(duration_s: f64, rate_per_s: f64) -> Phase {
    super::phase("p", duration_s, Some(rate_per_s))
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    prop_oneof![Just(Arrivals::Constant), Just(Arrivals::Poisson)]
}

fn sample() -> impl Strategy<Value = Sample> {
    let times = (0..2 * LONGEST_US, 0..LONGEST_US, 0..5_000_u64);
    (times, 0..3_u16, -2..4_i32, 0..2_u16, "app-[12]", any::<bool>(), 0..9_u64).prop_map(
        |((latency_us, service_us, lag_us), phase, second, endpoint, server, expected, body_bytes)| Sample {
            phase,
            second,
            tenth: latency_us as u32 % 7,
            completed_second: second + 1,
            completed_in_phase: expected,
            endpoint,
            scheduled: true,
            timed: endpoint == 0 || latency_us % 3 > 0,
            served_by: Arc::from(server.as_str()),
            cache: CacheStatus::Hit,
            status: 200,
            failure: None,
            expected,
            body_bytes,
            latency_us,
            service_us,
            lag_us,
        },
    )
}

fn recorded(samples: &[Sample]) -> Recorder {
    let mut recorder = Recorder::default();
    samples.iter().for_each(|sample| recorder.record(sample));
    recorder
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_of_a_schedule_make_the_whole(duration_s in 0.1..5.0_f64, rate_per_s in 1.0..2000.0_f64, law in arrivals(), count in 1..9_u32, seed: u64) {
        let whole = tickets(&rated(duration_s, rate_per_s), 3, law, seed).unwrap();
        let mut union: Vec<Ticket> = (0..count).flat_map(|index| part(&whole, WorkerPart { index, count })).collect();
        union.sort_by_key(|ticket| ticket.index);
        prop_assert_eq!(union, whole);
    }

    #[test]
    fn tickets_are_in_order_and_inside_their_phase(duration_s in 0.1..5.0_f64, rate_per_s in 1.0..2000.0_f64, law in arrivals(), seed: u64) {
        let all = tickets(&rated(duration_s, rate_per_s), 0, law, seed).unwrap();
        prop_assert!(all.is_sorted_by_key(|ticket| ticket.offset_us));
        prop_assert!(all.iter().all(|ticket| ticket.offset_us as f64 <= duration_s * 1e6));
        let mean = rate_per_s * duration_s;
        match law {
            Arrivals::Constant => prop_assert_eq!(all.len(), mean.round() as usize),
            // Six standard deviations and a little for small means.
            Arrivals::Poisson => prop_assert!((all.len() as f64 - mean).abs() <= 6.0 * mean.sqrt() + 6.0),
        }
        prop_assert_eq!(tickets(&rated(duration_s, rate_per_s), 0, law, seed).unwrap(), all);
    }

    #[test]
    fn merged_recorders_equal_one(samples in prop::collection::vec(sample(), 0..200), cuts in prop::collection::vec(0..200_usize, 7)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(samples.len())).collect();
        cuts.extend([0, samples.len()]);
        cuts.sort_unstable();
        let mut merged = Recorder::default();
        cuts.windows(2).for_each(|ends| merged.merge(&recorded(&samples[ends[0]..ends[1]])));
        prop_assert_eq!(merged, recorded(&samples));
    }

    #[test]
    fn sparse_histograms_have_the_buckets_of_dense_ones(times in prop::collection::vec(1..LONGEST_US, 1..300), share in 0.0..=1.0_f64) {
        let mut dense = hdrhistogram::Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3).unwrap();
        let mut sparse = SparseHistogram::default();
        for &time_us in &times {
            dense.record(time_us).unwrap();
            sparse.record(time_us);
        }
        prop_assert_eq!(sparse.to_dense().unwrap(), dense.clone());
        prop_assert_eq!(sparse.quantile_us(share).unwrap(), dense.value_at_quantile(share).min(LONGEST_US));
        prop_assert_eq!(sparse.iter().collect::<SparseHistogram>(), sparse);
    }
}

#[test]
fn a_request_is_a_function_of_seed_and_ticket() {
    let mut spec = super::spec("http://127.0.0.1:1", std::path::Path::new("/"), vec![rated(1.0, 1.0)]);
    spec.mix[0].path = "/posts/{id}".to_owned();
    spec.mix[0].ids = Some(Ids::Zipf { count: 100, exponent: 1.0 });
    spec.mix.push(super::endpoint("list", "/"));
    spec.mix[1].weight = 3;
    let forward: Vec<_> = {
        let mix = Mix::new(&spec);
        (0..4000).map(|ticket| mix.draw(1, ticket)).collect()
    };
    let mut backward: Vec<_> = {
        let mix = Mix::new(&spec);
        (0..4000).rev().map(|ticket| mix.draw(1, ticket)).collect()
    };
    backward.reverse();
    assert_eq!(forward, backward);
    let list_count = forward.iter().filter(|request| request.path == "/").count();
    assert!((2850..3150).contains(&list_count), "weight 3 of 4 gave {list_count} of 4000");
    let first_count = forward.iter().filter(|request| request.path == "/posts/1").count();
    // The share of the first of 100 ids under Zipf's law is 0.193.
    assert!((150..240).contains(&first_count), "the first id was drawn {first_count} times in about 1000");
}

#[test]
fn the_start_of_a_session_moves_no_other_draw() {
    let mut spec = super::spec("http://127.0.0.1:1", std::path::Path::new("/"), vec![rated(1.0, 1.0)]);
    spec.mix[0].path = "/posts/{id}".to_owned();
    spec.mix[0].ids = Some(Ids::Zipf { count: 100, exponent: 1.0 });
    let draws = |spec: &_| (0..100).map(|ticket| Mix::new(spec).draw(0, ticket)).collect::<Vec<_>>();
    let without = draws(&spec);
    assert_eq!(Mix::new(&spec).draw_session_start(0, 1), None);
    let start = super::endpoint("start", "/start/{id}");
    spec.session_start = Some(super::Endpoint { weight: 0, ids: Some(Ids::Uniform { count: 1000 }), ..start });
    assert_eq!(draws(&spec), without);
    let starts: Vec<_> = (0..100).map(|ticket| Mix::new(&spec).draw_session_start(0, ticket).unwrap()).collect();
    assert!(starts.iter().all(|start| start.endpoint == 1 && start.path.starts_with("/start/")));
    assert!(starts.iter().any(|start| start.path != starts[0].path));
}

#[test]
fn cache_status_is_read_from_the_first_member() {
    let read = |header| CacheStatus::parse(Some(header));
    assert_eq!(read("app; hit"), CacheStatus::Hit);
    assert_eq!(read("app; fwd=miss; stored"), CacheStatus::Miss);
    assert_eq!(read("app;fwd=bypass"), CacheStatus::Bypass);
    assert_eq!(read("app-fragment; fwd=miss, app-value; hit"), CacheStatus::Miss);
    assert_eq!(CacheStatus::parse(None), CacheStatus::None);
}
