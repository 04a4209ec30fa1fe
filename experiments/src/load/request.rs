//! What each request asks for: a pure function of the seed and of the ticket's number, so that the arms of a comparison get the
//! same requests in the same order, whichever user or process happens to send them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};

use super::spec::{Endpoint, Ids, TrialSpec};

/// A request, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRequest {
    /// Place of its endpoint in the specification; see [`TrialSpec::endpoint`].
    pub endpoint: usize,
    /// Path with query.
    pub path: String,
    /// Body of a form, encoded.
    pub form: Option<String>,
}

/// The start of a session draws from streams of its own, so that it moves no draw of the mix: no phase and ticket reach this bit.
const SESSION_START: u64 = 1 << 60;

/// Draws requests from the weighted mix.
pub struct Mix {
    /// Those of the mix, then the start of a session.
    endpoints: Vec<Endpoint>,
    mix_count: usize,
    zipf: Vec<Option<Zipf<f64>>>,
    weight_ends: Vec<u64>,
    random: ChaCha8Rng,
}

impl Mix {
    /// Prepares the draws of a valid specification.
    #[must_use]
    pub fn new(spec: &TrialSpec) -> Self {
        let mut weight = 0;
        let weight_ends = spec.mix.iter().map(|endpoint| {
            weight += u64::from(endpoint.weight);
            weight
        });
        Self {
            weight_ends: weight_ends.collect(),
            zipf: spec.mix.iter().chain(&spec.session_start).map(|endpoint| zipf(endpoint.ids.as_ref())).collect(),
            mix_count: spec.mix.len(),
            endpoints: spec.mix.iter().chain(&spec.session_start).cloned().collect(),
            random: ChaCha8Rng::seed_from_u64(spec.seed),
        }
    }

    /// The request of one ticket. `draws` is the number of its phase's draws, `ticket` its own within the phase.
    #[must_use]
    pub fn draw(&self, draws: u64, ticket: u64) -> PlannedRequest {
        let mut random = self.random.clone();
        // One stream for each ticket: no draw depends on how many draws came before it.
        random.set_stream(draws << 44 | ticket);
        let weights: u64 = *self.weight_ends.last().unwrap_or(&1);
        let at = random.random_range(0..weights);
        let index = self.weight_ends.partition_point(|&end| end <= at);
        self.plan(index, (draws, ticket), &mut random)
    }

    /// The request with which a session begins before that of the ticket; `None` when sessions have no start of their own.
    #[must_use]
    pub fn draw_session_start(&self, draws: u64, ticket: u64) -> Option<PlannedRequest> {
        let mut random = self.random.clone();
        random.set_stream(SESSION_START | draws << 44 | ticket);
        (self.endpoints.len() > self.mix_count).then(|| self.plan(self.mix_count, (draws, ticket), &mut random))
    }

    fn plan(&self, index: usize, (draws, ticket): (u64, u64), random: &mut ChaCha8Rng) -> PlannedRequest {
        let endpoint = &self.endpoints[index];
        let id = endpoint.ids.as_ref().map(|ids| self.draw_id(index, ids, random));
        let fill = |text: &str, encode: bool| {
            let mut text = text.to_owned();
            if let Some(id) = &id {
                text = text.replace("{id}", &if encode { percent_encode(id) } else { id.clone() });
            }
            if text.contains("{n}") { text.replace("{n}", &format!("{draws}-{ticket}")) } else { text }
        };
        let fields = endpoint
            .form
            .iter()
            .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(&fill(value, false))));
        let form = (!endpoint.form.is_empty()).then(|| fields.collect::<Vec<_>>().join("&"));
        PlannedRequest { endpoint: index, path: fill(&endpoint.path, true), form }
    }

    fn draw_id(&self, index: usize, ids: &Ids, random: &mut ChaCha8Rng) -> String {
        match ids {
            Ids::Zipf { .. } => match &self.zipf[index] {
                Some(zipf) => (zipf.sample(random) as u64).to_string(),
                None => "1".to_owned(),
            },
            Ids::Uniform { count } => random.random_range(1..=*count).to_string(),
            Ids::Fixed { id } => id.clone(),
            Ids::List { values } => values[random.random_range(0..values.len())].clone(),
        }
    }
}

fn zipf(ids: Option<&Ids>) -> Option<Zipf<f64>> {
    match ids {
        Some(Ids::Zipf { count, exponent }) => Zipf::new(*count as f64, *exponent).ok(),
        _ => None,
    }
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
