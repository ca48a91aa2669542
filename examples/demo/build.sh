#!/bin/sh
# Builds demo.elf from the sources beside it; the result is committed.
#   build.sh            rebuild demo.elf
#   build.sh --check    rebuild elsewhere and say whether demo.elf is up to date
#   build.sh --output F write to F instead; with OPT=-O2 or CC=clang in the environment, for trying other code and debug information
# The same compiler and binutils give the same bytes wherever the folder lies.
set -eu
called_from=$PWD
cd "$(dirname "$0")"

expected_gcc='gcc (Debian 12.2.0-14+deb12u1) 12.2.0'
expected_ld='GNU ld (GNU Binutils for Debian) 2.40'
CC=${CC:-gcc}
LD=${LD:-ld}
OPT=${OPT:--O1}

usage() {
	echo "usage: build.sh [--check | --output FILE]" >&2
	exit 64
}
output=demo.elf
case "${1:-}" in
'') [ $# -eq 0 ] || usage ;;
--check) [ $# -eq 1 ] || usage ;;
--output)
	[ $# -eq 2 ] || usage
	output=$2
	case "$output" in /*) ;; *) output=$called_from/$output ;; esac
	;;
*) usage ;;
esac

if ! command -v "$CC" >/dev/null 2>&1 || ! command -v "$LD" >/dev/null 2>&1; then
	echo "demo: $CC or $LD not found; install gcc and binutils (Debian 12) to rebuild demo.elf" >&2
	exit 3
fi
actual_gcc=$("$CC" --version | head -n 1)
actual_ld=$("$LD" --version | head -n 1)
recorded=yes
if [ "$actual_gcc" != "$expected_gcc" ] || [ "$actual_ld" != "$expected_ld" ]; then
	recorded=no
	echo "demo: built with '$actual_gcc' and '$actual_ld', recorded are '$expected_gcc' and '$expected_ld': other bytes are to be expected" >&2
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# -O1 with frame pointers: optimised enough to be real, plain enough to be read in a debugger.
flags="-m32 -march=i686 -mno-sse -mno-mmx -mno-80387 -std=gnu11 -ffreestanding $OPT -g -fno-omit-frame-pointer
	-fno-optimize-sibling-calls -fno-delete-null-pointer-checks -fno-strict-aliasing -fno-pic -fno-pie
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -ffile-prefix-map=$PWD=. -Wall -Wextra"
case "$("$CC" --version)" in
*clang*) flags="$flags -mstack-alignment=4 -fno-builtin" ;;
*) flags="$flags -mpreferred-stack-boundary=2 -fno-tree-loop-distribute-patterns -fno-inline-functions-called-once
	-fno-inline-small-functions" ;;
esac
objects=
for source in head.S entry.S boot.c hypercall.c segments.c traps.c paging.c clock.c task.c console.c printk.c tour.c shell.c user.c; do
	object="$out/${source%.*}.o"
	# shellcheck disable=SC2086 # the flags are a list
	"$CC" $flags -c "$source" -o "$object"
	objects="$objects $object"
done
# shellcheck disable=SC2086
"$LD" -m elf_i386 -nostdlib -static --build-id=none -z noexecstack -z max-page-size=4096 -T link.ld -o "$out/demo.elf" $objects

if [ "${1:-}" = --check ]; then
	if cmp -s "$out/demo.elf" demo.elf; then
		echo "demo: demo.elf is up to date"
	elif [ "$recorded" = no ]; then
		echo "demo: cannot tell whether demo.elf is up to date: not the recorded compiler"
	else
		echo "demo: demo.elf is out of date; run examples/demo/build.sh" >&2
		exit 1
	fi
else
	cp "$out/demo.elf" "$output"
	chmod 644 "$output"
	echo "demo: built $output"
fi
