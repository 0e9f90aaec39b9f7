//! Plants each deliberate fault in a copy of the sources, and sees whether the command it names notices.
//!
//!     cargo run -p anabranch-tests --bin faults              # all of them: some ten minutes
//!     cargo run -p anabranch-tests --bin faults -- NAME ...  # these
//!
//! Ends with 1 if one survives, or does not build, which proves nothing.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use anabranch_tests::faults::{self, Fault};

/// A fault may well make a test wait for ever: that is noticed too.
const PATIENCE: Duration = Duration::from_secs(600);

/// What became of a fault.
enum Verdict {
    Caught,
    Survived,
    DoesNotBuild,
}

fn main() -> ExitCode {
    match plant_all() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plant_all() -> io::Result<usize> {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let all = faults::all()?;
    if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|fault| fault.name == **name)) {
        let names: Vec<&str> = all.iter().map(|fault| fault.name.as_str()).collect();
        return Err(io::Error::other(format!(
            "there is no fault `{unknown}`; there are: {}",
            names.join(", ")
        )));
    }
    let root = faults::root();
    let ground = root.join("target/faults");
    let copy = ground.join("sources");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_sources(&root, &copy)?;
    let mut escaped = 0;
    for fault in all.iter().filter(|fault| wanted.is_empty() || wanted.contains(&fault.name)) {
        let begun = Instant::now();
        let verdict = plant(fault, &copy, &ground.join("target"))?;
        let said = match verdict {
            Verdict::Caught => "caught",
            Verdict::Survived => "SURVIVED",
            Verdict::DoesNotBuild => "DOES NOT BUILD",
        };
        escaped += usize::from(!matches!(verdict, Verdict::Caught));
        println!("{said:14} {:28} {:4} s  {}", fault.name, begun.elapsed().as_secs(), fault.run);
    }
    Ok(escaped)
}

fn plant(fault: &Fault, copy: &Path, target: &Path) -> io::Result<Verdict> {
    let path = copy.join(&fault.file);
    let sound = fs::read_to_string(&path)?;
    fs::write(&path, fault.plant(&sound).map_err(io::Error::other)?)?;
    let verdict = judge(fault, copy, target);
    fs::write(&path, sound)?;
    verdict
}

fn judge(fault: &Fault, copy: &Path, target: &Path) -> io::Result<Verdict> {
    // Built far more than run. Loom's tests are for optimised code and say so.
    let quick = fault.run.replacen("cargo test", "cargo test --profile mutants", 1);
    let test = if fault.run.contains("--release") { &fault.run } else { &quick };
    if !run(&test.replacen("cargo test", "cargo test --no-run", 1), copy, target)? {
        return Ok(Verdict::DoesNotBuild);
    }
    Ok(if run(test, copy, target)? { Verdict::Survived } else { Verdict::Caught })
}

/// Whether the command ends well, and in time.
fn run(command: &str, copy: &Path, target: &Path) -> io::Result<bool> {
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Everything but what is built.
fn copy_sources(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name != OsStr::new("target") && name != OsStr::new(".git") {
                copy_sources(&entry.path(), &to.join(&name))?;
            }
        } else {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}
