//! The rows that every step with trials writes: one set of tables, whatever is compared.

use crate::results::row;

impl TrialRow {
    /// The part of what was due that had its answer by the end of the phase.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn achieved_share(&self) -> f64 {
        self.achieved_per_s * self.duration_s / self.offered.max(1) as f64
    }
}

row! {
    /// One phase of one trial: what was asked for and what came back.
    pub struct TrialRow in "trials.csv" {
        /// The block; in each every arm is tried once, in random order.
        block: u32,
        /// Place in the order in which the arms of the block began, from 0.
        place: u32,
        /// The configuration.
        arm: String,
        /// Which try it was, from 1: a trial that must not be used is repeated, and both are kept.
        attempt: u32,
        /// The phase of the trial.
        phase: String,
        /// Length of the phase; of all its slices together.
        duration_s: f64,
        /// Slices in which it was measured, between those of the other arms of its block; 1 where it was measured whole.
        slices: u32,
        /// Slices that were left out, with all others of their rounds, because the host took a processor away in one of them.
        slices_left_out: u32,
        /// Users, each of whom waits for its answer before it asks again: the most requests that can be under way.
        users: u32,
        /// Offered rate; empty in a closed loop, where the answers set the pace.
        offered_per_s: Option<f64>,
        /// Rate of expected answers that were complete before the phase ended.
        achieved_per_s: f64,
        /// Requests that were due (in a closed loop: sent).
        offered: u64,
        /// Requests that got the expected answer.
        expected: u64,
        /// Requests that got another answer, or none.
        unexpected: u64,
        /// Sum of the bodies.
        body_bytes: u64,
        /// CPU time of the load generator in the whole trial's measured window, as a share of its processors.
        generator_cpu_share: f64,
        /// Median of the generator's send lag in the phase; empty in a closed loop.
        generator_lag_p50_us: Option<u64>,
        /// 99th percentile of the generator's send lag in the phase; empty in a closed loop.
        generator_lag_p99_us: Option<u64>,
        /// Part of the processors' time that the host gave to others in the phase; empty where the machine does not tell.
        steal_share: Option<f64>,
        /// Time of a fixed piece of arithmetic on the system's processor, before and after the trial; empty where it has none of its own.
        canary_user_us: Option<f64>,
        /// Time of a fixed number of system calls there.
        canary_kernel_us: Option<f64>,
        /// How many tenths of a second of the trial's own load, its warm-up included, it took until load times had settled (MSER-5); empty
        /// where they never did, or the trial was too short to tell.
        settled_tenths: Option<u32>,
        /// For how long the servers were frozen in the phase; empty where they were not.
        frozen_s: Option<f64>,
        /// Digest of the first bodies that were fetched before the load: equal for all arms that serve the same.
        body_digest: String,
        /// Why the trial must not be used; empty when it may.
        error: Option<String>,
    }
}

row! {
    /// One slice of a trial whose arms were tried side by side. Slices of one round follow each other within a second.
    pub struct SliceRow in "slices.csv" {
        /// The block.
        block: u32,
        /// The configuration.
        arm: String,
        /// Which try it was, from 1: a trial that must not be used is repeated, and both are kept.
        attempt: u32,
        /// The phase of the trial that the slice is a part of.
        phase: String,
        /// The round in which every arm of the block had one slice, from 0; rounds that were left out have no rows.
        round: u32,
        /// Requests that got the expected answer.
        expected: u64,
        /// CPU time of all components.
        cpu_us: u64,
        /// Median latency; empty where nothing was answered.
        p50_us: Option<u64>,
        /// Mean latency; empty where nothing was answered.
        mean_us: Option<f64>,
        /// What each request bore besides its work, by the servers' own clocks, on average; empty where there was nothing to bear.
        added_us: Option<f64>,
        /// Part of the processors' time that the host gave to others; empty where the machine does not tell.
        steal_share: Option<f64>,
        /// Part of the slice in which the system's processor stood still, for more than a millisecond at a time; empty where it could not
        /// be watched.
        hiccup_share: Option<f64>,
    }
}

row! {
    /// One bucket of a latency histogram: requests that agree in everything but their exact time.
    pub struct LatencyRow in "latencies.csv" {
        /// The block.
        block: u32,
        /// The configuration.
        arm: String,
        /// Which try it was, from 1: a trial that must not be used is repeated, and both are kept.
        attempt: u32,
        /// The phase.
        phase: String,
        /// Second of the intended start, from the start of the measured window; empty where seconds were merged.
        second: Option<i32>,
        /// The kind of request; empty where kinds were merged.
        endpoint: Option<String>,
        /// The server that answered, by its own word; empty where servers were merged or none answered.
        served_by: Option<String>,
        /// What the cache said of the response: hit, miss, bypass or none; empty where this was merged.
        cache: Option<String>,
        /// HTTP status; 0 when there was no answer.
        status: u16,
        /// Least latency of the bucket, from the intended start of the request to the last byte of its answer.
        bucket_us: u64,
        /// Requests in the bucket.
        count: u64,
    }
}

row! {
    /// What one component used in one phase of a trial, or in one second of it.
    pub struct ResourceRow in "resources.csv" {
        /// The block.
        block: u32,
        /// The configuration.
        arm: String,
        /// Which try it was, from 1: a trial that must not be used is repeated, and both are kept.
        attempt: u32,
        /// The phase.
        phase: String,
        /// Second of the measured window; empty for the phase as a whole.
        second: Option<u32>,
        /// `nginx`, `app-1`, `app-2`, `redis` or `postgres`.
        component: String,
        /// CPU time.
        cpu_us: u64,
        /// The part of it that was spent in the kernel; empty where only the sum is known.
        cpu_kernel_us: Option<u64>,
        /// How often its threads gave up a processor by themselves, most often to wait; empty for a second.
        voluntary_switches: Option<u64>,
        /// How often one of its threads had to give it up to another; empty for a second.
        involuntary_switches: Option<u64>,
        /// Memory (proportional set size) at the end; empty where it was not read.
        memory_bytes: Option<u64>,
        /// The most that it ever held: in all, where a control group counts it, otherwise the sum of its processes' largest resident
        /// sets; empty where it was not read.
        memory_peak_bytes: Option<u64>,
    }
}

row! {
    /// What the stores counted in one phase of a trial.
    pub struct CounterRow in "counters.csv" {
        /// The block.
        block: u32,
        /// The configuration.
        arm: String,
        /// Which try it was, from 1: a trial that must not be used is repeated, and both are kept.
        attempt: u32,
        /// The phase.
        phase: String,
        /// `postgres`, `redis`, `nginx`, or an app server for what it counts itself and for what PostgreSQL does for it.
        component: String,
        /// What was counted, such as `statements` or `keyspace_hits`.
        counter: String,
        /// By how much it grew.
        value: f64,
    }
}

row! {
    /// Sessions of users that keep their cookies, by the server that served them first.
    pub struct SessionRow in "sessions.csv" {
        /// The block.
        block: u32,
        /// The configuration.
        arm: String,
        /// Which try it was, from 1: a trial that must not be used is repeated, and both are kept.
        attempt: u32,
        /// The phase in which the session began.
        phase: String,
        /// The server.
        served_by: String,
        /// Sessions.
        sessions: u64,
        /// Requests that another server answered than the one before in the same session.
        server_changes: u64,
    }
}

row! {
    /// One second of a trial.
    pub struct SecondRow in "seconds.csv" {
        /// The block.
        block: u32,
        /// The configuration.
        arm: String,
        /// Which try it was, from 1: a trial that must not be used is repeated, and both are kept.
        attempt: u32,
        /// Second of the measured window, from 0.
        second: i32,
        /// Requests that came to an end in it, by whatever answer or by none: who is turned away does not wait any longer either.
        completed: u64,
    }
}
