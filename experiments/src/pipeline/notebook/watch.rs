//! Looks at the files that the page is made of, a few times a second, and makes it anew when one has changed. Looking is asking for
//! times and sizes; nothing is read unless something is new. It knows nothing of browsers.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Result;
use serde::Serialize;
use tokio::sync::watch::Sender;

use super::live::{Follower, Run};
use crate::{
    pipeline::{Project, StaleResults, document::document, page::page, present::EVERYTHING, timeline},
    report::{
        Document,
        web::{Page, Reader},
    },
    results::ResultsFolder,
    steps::STEPS,
};

const LOOK_INTERVAL: Duration = Duration::from_millis(150);

/// What readers are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// The last page that could be made.
    pub(super) page: Option<Arc<Page>>,
    /// What it was made from, for the files that it links to.
    pub(super) document: Option<Arc<Document>>,
    /// Why there is no newer one.
    pub(super) error: Option<String>,
    /// The run that is under way.
    pub(super) run: Option<Run>,
}

/// What a page that is open is told.
#[derive(Debug, Serialize)]
pub(super) struct Told<'s> {
    version: Option<&'s str>,
    error: Option<&'s str>,
    run: Option<&'s Run>,
}

impl Shown {
    /// What a page that is open has to know.
    pub(super) fn told(&self) -> Told<'_> {
        let version = self.page.as_ref().map(|page| page.version.as_str());
        Told { version, error: self.error.as_deref(), run: self.run.as_ref() }
    }
}

/// The times and sizes of files.
type Stamp = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Watches one project and one folder of results.
pub(super) struct Watcher {
    project: Project,
    results: PathBuf,
    templates: Stamp,
    measured: Stamp,
    follower: Follower,
    shown: Shown,
}

impl Watcher {
    pub(super) fn new(project: &Project, results: &Path) -> Self {
        Self {
            project: project.clone(),
            results: results.to_owned(),
            templates: Stamp::new(),
            measured: Stamp::new(),
            follower: Follower::default(),
            shown: Shown::default(),
        }
    }

    /// What is to be shown first.
    pub(super) fn first(&mut self) -> Shown {
        self.look();
        self.shown.clone()
    }

    /// Looks until nobody listens any more.
    pub(super) fn watch(mut self, listeners: &Sender<Arc<Shown>>) {
        while !listeners.is_closed() {
            std::thread::sleep(LOOK_INTERVAL);
            if self.look() {
                listeners.send_replace(Arc::new(self.shown.clone()));
            }
        }
    }

    /// Whether anything is new.
    fn look(&mut self) -> bool {
        let run = self.follower.look(&self.results, timeline::newest(&self.project).ok());
        let is_other_run = run != self.shown.run;
        self.shown.run = run;
        let (templates, measured) = (self.templates(), self.measured());
        let are_other_results = measured != self.measured || self.shown.document.is_none();
        if templates == self.templates && measured == self.measured {
            return is_other_run;
        }
        // Noted before anything is read: what changes meanwhile is seen the next time.
        (self.templates, self.measured) = (templates, measured);
        let started = Instant::now();
        match self.renew(are_other_results) {
            Ok(page) => {
                say(&format!("made the page in {:.0} ms", started.elapsed().as_secs_f64() * 1000.0));
                (self.shown.page, self.shown.error) = (Some(Arc::new(page)), None);
            }
            Err(error) => {
                say(&format!("error: {error:#}"));
                self.shown.error = Some(format!("{error:#}"));
            }
        }
        true
    }

    fn renew(&mut self, are_other_results: bool) -> Result<Page> {
        let kept = self.shown.document.take().filter(|_| !are_other_results);
        let document = match kept {
            Some(document) => document,
            None => {
                let results = ResultsFolder::read_only(&self.results);
                Arc::new(document(&self.project, &results, StaleResults::Mark)?)
            }
        };
        self.shown.document = Some(Arc::clone(&document));
        page(&self.project, &document, Reader::Server)
    }

    fn templates(&self) -> Stamp {
        let mut stamp = Stamp::new();
        add(&self.project.root.join("report-src"), &mut stamp);
        stamp
    }

    /// What is measured and, unless a run is measuring at this moment, all that it depends on.
    fn measured(&self) -> Stamp {
        let mut stamp = Stamp::new();
        for step in STEPS {
            add(&self.results.join(step.name()), &mut stamp);
            add(&self.results.join(format!("{}.failed.json", step.name())), &mut stamp);
        }
        if self.shown.run.is_some() {
            let inputs = self.measured.iter().filter(|(path, _)| !path.starts_with(&self.results));
            stamp.extend(inputs.map(|(path, about)| (path.clone(), *about)));
            return stamp;
        }
        for path in EVERYTHING {
            add(&self.project.root.join(path), &mut stamp);
        }
        add(&self.project.profiles(), &mut stamp);
        stamp
    }
}

/// Says it to the terminal. The page is told too, so that nobody may be listening.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Adds a file, or all files of a folder; what is not there has no stamp.
fn add(path: &Path, stamp: &mut Stamp) {
    let Ok(about) = fs::metadata(path) else { return };
    if about.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            add(&entry.path(), stamp);
        }
        return;
    }
    stamp.insert(path.to_owned(), (about.len(), about.modified().ok()));
}
