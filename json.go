package ssmresume

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth is encoding/json's limit.
const maxJSONDepth = 10_000

// A jsonMember is a member of a JSON object.
type jsonMember struct {
	key  string
	kind byte   // the value's first byte, which tells its type
	text string // a string's value
}

// readJSON reads the JSON value (RFC 8259) that text begins with. It returns the
// value's first byte, or 0 if there is no valid value, an object's members, and
// what follows the value.
//
// It takes what encoding/json takes and decodes strings alike, which a fuzz test
// holds it to. It is here until go.mod says 1.27, where encoding/json/v2 does the
// same in a few lines and within the noise: an answer takes 1.0 µs here and 1.7 by
// encoding/json with Go 1.27, 1.2 and 6.5 with Go 1.26 (BenchmarkJSON).
func readJSON(text string) (kind byte, members []jsonMember, rest string) {
	r := &jsonReader{rest: text, members: make([]jsonMember, 0, 3)} // as many as the usual answer has
	kind, _ = r.value(1)
	if r.bad {
		return 0, nil, ""
	}
	return kind, r.members, r.rest
}

type jsonReader struct {
	rest    string // what is left to read
	bad     bool   // what was read is not JSON; rest is empty then, which ends all loops
	members []jsonMember
}

func (r *jsonReader) value(depth int) (kind byte, text string) {
	switch kind = r.next(); kind {
	case '{':
		r.list(depth, '}', func() {
			m := jsonMember{key: r.string()}
			r.expect(':')
			m.kind, m.text = r.value(depth + 1)
			if depth == 1 {
				r.members = append(r.members, m)
			}
		})
	case '[':
		r.list(depth, ']', func() { r.value(depth + 1) })
	case '"':
		text = r.string()
	case 't', 'f', 'n':
		if !r.skip("true") && !r.skip("false") && !r.skip("null") {
			r.fail()
		}
	default:
		r.number()
	}
	return kind, text
}

// list reads the items of an object or array and the brackets around them.
func (r *jsonReader) list(depth int, end byte, item func()) {
	if depth > maxJSONDepth {
		r.fail()
		return
	}
	r.rest = r.rest[1:]
	if r.next() != end {
		for item(); r.next() == ','; item() {
			r.rest = r.rest[1:]
		}
	}
	r.expect(end)
}

func (r *jsonReader) number() {
	r.skip("-")
	if !r.skip("0") {
		r.digits()
	}
	if r.skip(".") {
		r.digits()
	}
	if r.skip("e") || r.skip("E") {
		if !r.skip("+") {
			r.skip("-")
		}
		r.digits()
	}
}

func (r *jsonReader) digits() {
	rest := strings.TrimLeft(r.rest, "0123456789")
	if rest == r.rest {
		r.fail()
		return
	}
	r.rest = rest
}

func (r *jsonReader) string() string {
	r.expect('"')
	s := r.rest
	plain := 0 // bytes that stand for themselves
	for plain < len(s) && s[plain] >= ' ' && s[plain] < utf8.RuneSelf && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	if plain < len(s) && s[plain] == '"' {
		r.rest = s[plain+1:]
		return s[:plain]
	}
	var b strings.Builder
	for s != "" {
		c, size := utf8.DecodeRuneInString(s) // U+FFFD for a byte that is not UTF-8
		s = s[size:]
		switch {
		case c == '"':
			r.rest = s
			return b.String()
		case c == '\\':
			c, s = unescapeJSON(s)
		case c < ' ':
			s = ""
		}
		b.WriteRune(c)
	}
	r.fail()
	return ""
}

// unescapeJSON returns the character that the text after a backslash stands for
// and what follows, which is nothing if the text stands for none.
func unescapeJSON(s string) (c rune, rest string) {
	if hex, ok := strings.CutPrefix(s, "u"); ok {
		c, rest = hex4(hex)
		if !utf16.IsSurrogate(c) {
			return c, rest
		}
		if hex, ok := strings.CutPrefix(rest, `\u`); ok {
			low, rest := hex4(hex)
			if pair := utf16.DecodeRune(c, low); pair != utf8.RuneError {
				return pair, rest
			}
		}
		return utf8.RuneError, rest // half a pair
	}
	if s != "" {
		if i := strings.IndexByte(`"\/bfnrt`, s[0]); i >= 0 {
			return rune("\"\\/\b\f\n\r\t"[i]), s[1:]
		}
	}
	return 0, ""
}

// hex4 returns the number that s begins with and what follows, which is nothing
// if there is no number.
func hex4(s string) (c rune, rest string) {
	if len(s) >= 4 {
		if n, err := strconv.ParseUint(s[:4], 16, 16); err == nil {
			return rune(n), s[4:]
		}
	}
	return 0, ""
}

// next returns the byte after the white space, or 0 at the end.
func (r *jsonReader) next() byte {
	for i := range len(r.rest) {
		if c := r.rest[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			r.rest = r.rest[i:]
			return c
		}
	}
	r.rest = ""
	return 0
}

func (r *jsonReader) expect(c byte) {
	if r.next() != c {
		r.fail()
		return
	}
	r.rest = r.rest[1:]
}

// skip cuts s off the rest, if that begins with it.
func (r *jsonReader) skip(s string) (ok bool) {
	r.rest, ok = strings.CutPrefix(r.rest, s)
	return ok
}

func (r *jsonReader) fail() { r.rest, r.bad = "", true }
