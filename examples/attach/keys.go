package main

import (
	"bytes"
	"strconv"
	"strings"
)

// prefix is Ctrl-], the key before a command.
const prefix = 0x1d

// Terminals put these around what is pasted, if a program has asked for it.
var (
	pasteBegin = []byte("\x1b[200~")
	pasteEnd   = []byte("\x1b[201~")
)

// A keyboard finds the commands in what is typed.
type keyboard struct {
	prefixed bool   // the last key was the prefix
	pasting  bool   // nothing is a command
	last     []byte // the end of the last keys, where a paste's begin or end may be cut
}

// A stroke is keys for the session, or a command.
type stroke struct {
	keys    []byte
	command byte // 0: none
}

// split returns what is in keys, in order.
func (k *keyboard) split(keys []byte) []stroke {
	var strokes []stroke
	start := 0
	send := func(end int) {
		if end > start {
			strokes = append(strokes, stroke{keys: keys[start:end]})
		}
	}
	for i := 0; i < len(keys); {
		key, length := byte(0), 1
		switch {
		case k.pasting:
		case keys[i] == 0x1b:
			key, length = decode(keys[i:])
		default:
			key = keys[i]
		}
		switch {
		case k.prefixed && key == released:
			send(i)
			start = i + length // the prefix's own way up
		case k.prefixed:
			k.prefixed = false
			if key == prefix {
				start = i // this one goes to the session
			} else {
				strokes = append(strokes, stroke{command: key})
				start = i + length
			}
		case key == prefix:
			send(i)
			k.prefixed = true
			start = i + length
		}
		for _, b := range keys[i : i+length] {
			k.notePaste(b)
		}
		i += length
	}
	send(len(keys))
	return strokes
}

func (k *keyboard) notePaste(b byte) {
	k.last = append(k.last, b)
	if n := len(k.last) - len(pasteBegin); n > 0 {
		k.last = append(k.last[:0], k.last[n:]...)
	}
	switch {
	case bytes.Equal(k.last, pasteBegin):
		k.pasting = true
	case bytes.Equal(k.last, pasteEnd):
		k.pasting = false
	}
}

const (
	other    = 0xff // a key that is none of ours
	released = 0xfe // a key that comes up
)

// decode returns the key at the start of s, which begins with ESC, and how long
// it is. Programs such as vim and fish ask the terminal to send Ctrl-] as ESC [ 27
// ; 5 ; 93 ~ (xterm) or ESC [ 93 ; 5 u (kitty).
func decode(s []byte) (key byte, length int) {
	if len(s) < 3 || s[1] != '[' {
		return other, 1
	}
	end := 2
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == ';' || s[end] == ':') {
		end++
	}
	if end == len(s) || s[end] != 'u' && s[end] != '~' {
		return other, 1
	}
	fields := strings.Split(string(s[2:end]), ";")
	length = end + 1
	if s[end] == '~' {
		if len(fields) != 3 || fields[0] != "27" {
			return other, length
		}
		fields = []string{fields[2], fields[1]}
	}
	number := func(s string) int {
		first, _, _ := strings.Cut(s, ":")
		n, _ := strconv.Atoi(first)
		return n
	}
	code, modifiers := number(fields[0]), 1
	if len(fields) > 1 {
		modifiers = number(fields[1])
		if _, event, _ := strings.Cut(fields[1], ":"); event == "3" {
			return released, length
		}
	}
	const capsLock, numLock, control = 64, 128, 4
	switch m := (modifiers - 1) &^ (capsLock | numLock); {
	case m == control && code == ']':
		return prefix, length
	case m == 0 && code > 0x20 && code < 0x7f, m == 1 && code == '?':
		return byte(code), length
	}
	return other, length
}
