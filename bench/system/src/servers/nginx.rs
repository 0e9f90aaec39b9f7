//! nginx, where it is installed: a program of its own with a configuration made for it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use super::Place;
use crate::load::HELLO;

pub(super) fn command(place: &Place, folder: &Path) -> io::Result<Command> {
    with_workers(place, folder, place.threads)
}

pub(super) fn command_one(place: &Place, folder: &Path) -> io::Result<Command> {
    with_workers(place, folder, 1)
}

/// Whether there is one to measure.
pub(super) fn is_there() -> bool {
    Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn with_workers(place: &Place, folder: &Path, workers: usize) -> io::Result<Command> {
    let file = folder.join("nginx.conf");
    let shown = folder.display();
    let port = place.port;
    // Each worker takes two files besides, and nginx warns where it may not have so many.
    let connections = crate::process::open_files().saturating_sub(100).min(100_000);
    let text = format!(
        "daemon off;
worker_processes {workers};
pid {shown}/nginx.pid;
error_log {shown}/error.log crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_timeout 600;
    keepalive_requests 1000000000;
    client_body_temp_path {shown}/body;
    proxy_temp_path {shown}/proxy;
    fastcgi_temp_path {shown}/fastcgi;
    uwsgi_temp_path {shown}/uwsgi;
    scgi_temp_path {shown}/scgi;
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        location = /plaintext {{ default_type text/plain; return 200 \"{HELLO}\"; }}
    }}
}}
"
    );
    fs::write(&file, text)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(file).arg("-p").arg(folder).stderr(Stdio::null());
    Ok(command)
}
