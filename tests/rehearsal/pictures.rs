//! The guided installation on a screen of 80×24, as tmux shows it: pictures of text that a person can review, in
//! `tests/rehearsal/snapshots/`. After a wanted change: `INSTA_UPDATE=always cargo test --test integration rehearsal::pictures`.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::terminal::PATIENCE;
use crate::machine::{Machine, differences};

/// A screen with a shell's line of commands running in it.
struct Screen<'a> {
    socket: PathBuf,
    machine: &'a Machine,
    /// The picture when something was typed last: the same question may come again.
    before: RefCell<String>,
}

impl<'a> Screen<'a> {
    /// The program at a screen of this size; `None` where there is no tmux. When it has ended the screen says how, and whether the
    /// terminal echoes what is typed.
    fn start(machine: &'a Machine, size: (u16, u16), kind: &str, arguments: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            // tests/run installs it; who runs `cargo test` alone need not have it.
            eprintln!("tmux is not installed: no screen was looked at");
            return None;
        }
        let screen = Self { socket: machine.beside("tmux"), machine, before: RefCell::default() };
        let program = env!("CARGO_BIN_EXE_gts-bootstrap");
        let root = machine.root();
        let command = format!(
            "trap : INT; cd '{}'; export TERM={kind} GTSB_REHEARSE_AS_ROOT=yes; '{program}' --rehearse '{}' {arguments}; echo \"exit $?\"; \
             stty -a | tr ' ' '\\n' | grep -x -e echo -e -echo -e icanon -e -icanon; exec cat",
            machine.beside("").display(),
            root.display()
        );
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, "-s", "it", &command]);
        Some(screen)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("LC_ALL", "C.UTF-8")
            .env("SHELL", "/bin/sh")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn picture(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "it"])
    }

    /// Waits until this question is the last line and nothing is typed yet, and takes the picture.
    #[track_caller]
    fn at(&self, question: &str) -> String {
        self.until(question, &|line| line.starts_with(question) && line.ends_with(':'))
    }

    /// Waits until the last line that is not empty is the right one, and takes the picture.
    #[track_caller]
    fn until(&self, what: &str, right: &dyn Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let picture = self.picture();
            let answered = picture != *self.before.borrow();
            if answered && picture.trim_end().lines().last().is_some_and(right) {
                return picture.trim_end().to_owned() + "\n";
            }
            assert!(Instant::now() < until, "{what:?} is not the last line of:\n{picture}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a question and types a line.
    #[track_caller]
    fn answer(&self, question: &str, answer: &str) {
        self.at(question);
        self.enter(answer);
    }

    fn enter(&self, text: &str) {
        *self.before.borrow_mut() = self.picture();
        if !text.is_empty() {
            self.tmux(&["send-keys", "-t", "it", "-l", text]);
        }
        self.tmux(&["send-keys", "-t", "it", "Enter"]);
    }

    /// Waits for the end, and sees that the terminal is what it was.
    #[track_caller]
    fn ends(&self, code: i32) -> String {
        let picture = self.until("echo", &|line| line == "echo");
        assert!(picture.contains(&format!("exit {code}\nicanon\necho\n")), "{picture}");
        assert_eq!(self.tmux(&["display-message", "-p", "-t", "it", "#{cursor_flag}"]), "1\n", "the cursor is there");
        picture
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        // A failed test has its own words.
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
        assert!(self.machine.root().exists());
    }
}

/// A picture without what is different every time.
fn same(picture: &str) -> String {
    match picture.split_once("for the last time: ") {
        Some((before, rest)) => {
            let after = rest.split_once('\n').map_or("", |(_, after)| after);
            format!("{before}for the last time: (password)\n{after}")
        }
        None => picture.to_owned(),
    }
}

#[test]
fn a_guided_installation() {
    let machine = Machine::fresh();
    let Some(screen) = Screen::start(&machine, (80, 24), "screen", "install") else { return };
    let ask = |name: &str, question: &str, answer: &str| {
        insta::assert_snapshot!(format!("screen_{name}"), screen.at(question));
        screen.enter(answer);
    };
    ask("1_host", "Host name:", "https://social.example.org/");
    screen.answer("Host name:", "social.example.org");
    ask("2_mode", "Direct, or behind", "?");
    ask("3_mode_explained", "Direct, or behind", "");
    ask("4_mail", "Mail address:", "admin@example.org");
    ask("5_admin", "Administrator's user name:", "alice");
    ask("6_gate", "Enter, or m for more:", "m");
    ask("7_more", "Number, or Enter", "");
    ask("8_plan", "Apply?", "e");
    ask("9_explained", "Apply?", "d");
    screen.answer("Lines 1 to", "q");
    screen.answer("Apply?", "y");
    insta::assert_snapshot!("screen_end", same(&screen.ends(0)));
}

#[test]
fn every_plan_of_a_first_installation_fits_a_small_screen() {
    for mode in ["direct", "nginx", "httpd"] {
        let machine = Machine::fresh();
        let Some(screen) = Screen::start(&machine, (80, 24), "screen", "install") else { return };
        screen.answer("Host name:", "social.example.org");
        screen.answer("Direct, or behind", mode);
        screen.answer("Mail address:", "admin@my-domain.net");
        screen.answer("Administrator's user name:", "alice");
        screen.answer("Enter, or m for more:", "");
        let plan = screen.at("Apply?");
        assert!(plan.lines().all(|line| line.chars().count() < 80), "{plan}");
        // The screen shows its last 24 lines: with the heading among them it shows all.
        assert!(plan.lines().any(|line| line.starts_with("Plan: GoToSocial")), "{mode}:\n{plan}");
        insta::assert_snapshot!(format!("screen_plan_{mode}"), plan);
        screen.enter("n");
        screen.ends(4);
    }
}

#[test]
fn a_terminal_without_cursor_reads_the_same_and_can_be_interrupted() {
    let machine = Machine::fresh();
    let before = machine.snapshot();
    let Some(screen) = Screen::start(&machine, (80, 24), "dumb", "install") else { return };
    screen.answer("Host name:", "social.example.org");
    screen.at("Direct, or behind");
    screen.tmux(&["send-keys", "-t", "it", "C-c"]);
    insta::assert_snapshot!("screen_dumb_interrupted", screen.ends(4));
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<PathBuf>::new());
}

#[test]
fn a_window_may_change_its_size_at_any_time() {
    let machine = Machine::fresh();
    let Some(screen) = Screen::start(&machine, (80, 24), "screen", "install") else { return };
    let sizes = [("40", "10"), ("120", "50"), ("24", "6"), ("2", "2"), ("21", "4")];
    let resize = |(columns, rows): (&str, &str)| {
        screen.tmux(&["resize-window", "-t", "it", "-x", columns, "-y", rows]);
    };
    let lines = ["social.example.org", "", "admin@my-domain.net", "alice", ""];
    for (number, (line, prompt)) in lines.iter().zip(["Host", "Direct", "Mail", "Adm", "Enter"]).enumerate() {
        screen.at(prompt);
        // In the middle of a word, and with something to correct.
        screen.tmux(&["send-keys", "-t", "it", "-l", "oops"]);
        resize(sizes[number]);
        for _ in 0..4 {
            screen.tmux(&["send-keys", "-t", "it", "BSpace"]);
        }
        resize(("80", "24"));
        screen.enter(line);
    }
    screen.at("Apply?");
    resize(("80", "6"));
    // tmux tells the program a little later.
    let until = Instant::now() + PATIENCE;
    loop {
        screen.answer("Apply?", "d");
        let page = screen.at("Lines 1 to ");
        screen.enter("q");
        if page.contains("Lines 1 to 4 of") {
            break;
        }
        assert!(Instant::now() < until, "the size is not noticed:\n{page}");
    }
    screen.answer("Apply?", "y");
    screen.ends(0);
    assert!(machine.read("/usr/local/etc/gts-bootstrap/deployment.toml").contains("host = \"social.example.org\""));
}

#[test]
fn a_window_of_one_column_ends_the_editing_of_a_line_and_nothing_else() {
    let machine = Machine::fresh();
    let Some(screen) = Screen::start(&machine, (80, 24), "screen", "install") else { return };
    screen.at("Host name:");
    screen.tmux(&["send-keys", "-t", "it", "-l", "oops"]);
    screen.until("oops", &|line| line.ends_with("oops"));
    screen.tmux(&["resize-window", "-t", "it", "-x", "1", "-y", "24"]);
    // dialoguer reckons with the width less one.
    screen.tmux(&["send-keys", "-t", "it", "BSpace"]);
    let until = Instant::now() + PATIENCE;
    while !screen.picture().split_whitespace().collect::<String>().ends_with("oopsHostname:") {
        assert!(Instant::now() < until, "it is not asked again:\n{}", screen.picture());
        std::thread::sleep(Duration::from_millis(20));
    }
    screen.tmux(&["resize-window", "-t", "it", "-x", "80", "-y", "24"]);
    screen.answer("Host name:", "social.example.org");
    let picture = screen.at("Direct, or behind");
    assert!(!picture.contains("panicked") && picture.contains("Host name: social.example.org\nLooking"), "{picture}");
    screen.tmux(&["send-keys", "-t", "it", "C-c"]);
    screen.ends(4);
}
