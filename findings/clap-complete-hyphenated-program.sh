#!/bin/sh
# clap_complete 4.6.11, bash: below its first level, a program with a hyphen in its name has no completions.
#
# The function that `clap_complete::generate(Shell::Bash, …, "my-tool", …)` writes first finds the subcommand and names it
# my__tool__subcmd__list. The cases that follow are named my__subcmd__tool__subcmd__list: there the hyphen of the program's
# own name counts as a step down to a subcommand. No case matches, so `my-tool list <TAB>` offers nothing. A program
# called "mytool", with the same commands, completes.
#
# Seen: for my-tool no word after "list"; for mytool "-h --help all help".
# Needs cargo, bash and the crates' registry.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2021"

[dependencies]
clap = { version = "=4.6.9", default-features = false, features = ["std", "help", "usage"] }
clap_complete = "=4.6.11"
TOML
cat > src/main.rs <<'RUST'
use clap::Command;
use clap_complete::{generate, Shell};

fn main() {
    let name = std::env::args().nth(1).expect("a program's name");
    let list = Command::new("list").subcommand(Command::new("all"));
    let mut program = Command::new("probe").subcommand(list);
    generate(Shell::Bash, &mut program, name, &mut std::io::stdout());
}
RUST
cargo build --quiet

# offered NAME: the words that bash is offered after `NAME list`
offered() {
    ./target/debug/probe "$1" > script
    bash -c '
        source ./script
        function=$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")
        COMP_WORDS=("$1" list "") COMP_CWORD=2
        "$function" "$1" "" list
        echo "${COMPREPLY[*]}"' bash "$1"
}

hyphen=$(offered my-tool)
plain=$(offered mytool)
printf 'my-tool list: [%s]\nmytool list:  [%s]\n' "$hyphen" "$plain"
[ -z "$hyphen" ] && [ "$plain" = "-h --help all help" ]
