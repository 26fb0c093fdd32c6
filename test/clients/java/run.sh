#!/bin/sh
# Compiles the program of that name and runs it. Arguments: the name, the class path.
set -e
cd "$(dirname "$0")"
classes=$(mktemp -d)
trap 'exit 143' TERM
trap 'rm -rf "$classes"' EXIT
javac -d "$classes" -cp "$2" Rounds.java "$1.java"
java -cp "$classes:$2" "$1"
