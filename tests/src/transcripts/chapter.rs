//! A file of conversations: read, played against servers, and written anew.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anabranch_core::http1::Settings;

use super::conversation::Conversation;
use super::difference::Difference;
use super::play::{Came, play};
use crate::faults::root;

/// One file of `tests/transcripts/`.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// Without folder and extension.
    name: String,
    pub(super) conversations: Vec<Conversation>,
    /// What stands before the first of them.
    preface: String,
}

impl Chapter {
    /// The names of all there are, sorted.
    ///
    /// # Panics
    /// When the folder cannot be read.
    #[must_use]
    pub fn names() -> Vec<String> {
        let entries = fs::read_dir(folder()).expect("the folder of transcripts is there");
        let paths = entries.map(|entry| entry.expect("an entry of it").path());
        let chapters = paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
        let mut names: Vec<String> =
            chapters.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
        names.sort_unstable();
        names
    }

    /// Reads the file of that name.
    ///
    /// # Panics
    /// When there is none, or a line of it is not understood: the message names it.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let path = path(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(name, &text).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut chapter = Self { name: name.to_owned(), conversations: Vec::new(), preface: String::new() };
        let mut remarks = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fail = |error| format!("{}:{}: {error}", shown_path(name), index + 1);
            if let Some(title) = line.strip_prefix("== ") {
                chapter.ends(&remarks).map_err(fail)?;
                chapter.conversations.push(Conversation::begun(index + 1, title));
            } else if let Some(conversation) = chapter.conversations.last_mut() {
                conversation.take(line, &mut remarks).map_err(fail)?;
            } else {
                chapter.preface += &format!("{line}\n");
            }
        }
        chapter.ends(&remarks).map_err(|error| format!("{}, at its end: {error}", shown_path(name)))?;
        Ok(chapter)
    }

    /// Nothing of the last conversation so far may be missing, and nothing be left of it.
    fn ends(&self, remarks: &[String]) -> Result<(), String> {
        match self.conversations.last() {
            Some(last) if last.steps.is_empty() => Err(format!("nothing is done in: {}", last.title)),
            Some(last) if !remarks.is_empty() => Err(format!("a remark before no step in: {}", last.title)),
            _ => Ok(()),
        }
    }

    /// Plays every conversation, `at_once` with one server at a time, and says what came, in their order.
    ///
    /// `serve` starts a server with these settings, which ends when it is dropped; `address` says where it listens.
    pub fn play<S>(
        &self,
        at_once: usize,
        serve: impl Fn(&Settings) -> S,
        address: impl Fn(&S) -> SocketAddr,
    ) -> Vec<Came> {
        let servers: Vec<(S, Vec<usize>)> = self
            .grounds()
            .into_iter()
            .map(|of| (serve(&self.conversations[of[0]].ground.settings), of))
            .collect();
        let came: Vec<Mutex<Came>> = self.conversations.iter().map(|_| Mutex::default()).collect();
        let next: Vec<AtomicUsize> = servers.iter().map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            for ((server, conversations), next) in servers.iter().zip(&next) {
                let (address, came) = (address(server), &came);
                for _ in 0..at_once.min(conversations.len()) {
                    scope.spawn(move || {
                        while let Some(&index) = conversations.get(next.fetch_add(1, Ordering::Relaxed)) {
                            // Nobody panics while it is locked.
                            *came[index].lock().unwrap() = play(&self.conversations[index], address);
                        }
                    });
                }
            }
        });
        came.into_iter().map(|came| came.into_inner().unwrap()).collect()
    }

    /// Where what came is not what was recorded, under a model of that name.
    #[must_use]
    pub fn differences(&self, came: &[Came], model: &str) -> Vec<Difference> {
        let both = self.conversations.iter().zip(came);
        both.filter_map(|(conversation, came)| {
            Difference::between(&shown_path(&self.name), conversation, came, model)
        })
        .collect()
    }

    /// The file as it is if this came of its conversations.
    #[must_use]
    pub fn written(&self, came: &[Came]) -> String {
        let both = self.conversations.iter().zip(came);
        let conversations: Vec<String> =
            both.map(|(conversation, came)| conversation.written(came)).collect();
        self.preface.clone() + &conversations.join("\n")
    }

    /// Writes that file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record(&self, came: &[Came]) -> std::io::Result<()> {
        fs::write(path(&self.name), self.written(came))
    }

    /// Which conversations can be held with one server at the same time.
    fn grounds(&self) -> Vec<Vec<usize>> {
        let mut grounds: Vec<Vec<usize>> = Vec::new();
        for (index, conversation) in self.conversations.iter().enumerate() {
            let shared =
                |of: &&mut Vec<usize>| self.conversations[of[0]].ground.is_shared_with(&conversation.ground);
            match grounds.iter_mut().find(shared) {
                Some(of) => of.push(index),
                None => grounds.push(vec![index]),
            }
        }
        grounds
    }
}

fn folder() -> PathBuf {
    root().join("tests/transcripts")
}

fn path(name: &str) -> PathBuf {
    folder().join(name).with_extension("txt")
}

/// From the root of the workspace, for messages.
fn shown_path(name: &str) -> String {
    format!("tests/transcripts/{name}.txt")
}
