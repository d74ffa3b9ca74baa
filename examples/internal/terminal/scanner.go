package terminal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// A string that is longer, such as a picture, is not held until it is whole.
const maxHeld = 4 << 10

// A scanner follows output as a terminal does, as far as it takes to know where
// a sequence ends, and what must be taken back at the end.
type scanner struct {
	state  scanState
	more   int    // bytes that the character lacks
	params []byte // of a sequence that begins with CSI
	length int    // of the sequence or character so far

	modes map[string]bool // those that are not as a terminal has them at first, by the sequence that takes them back
}

type scanState int

const (
	ground    scanState = iota
	character           // in one of several bytes
	escape              // after ESC
	control             // after CSI
	text                // after OSC, DCS, APC, PM or SOS
	textEnd             // after ESC in text
)

// scan follows p, and returns how much of it ends with a whole sequence: -1 if p
// is part of one that has begun before.
func (s *scanner) scan(p []byte) int {
	whole := -1
	if s.state == ground || s.length > maxHeld {
		whole = 0
	}
	for i, b := range p {
		s.step(b)
		if s.state == ground {
			s.length = 0
			whole = i + 1
		} else if s.length++; s.length > maxHeld {
			whole = i + 1
		}
	}
	return whole
}

// between reports whether something else may be written now.
func (s *scanner) between() bool { return s.length <= maxHeld }

func (s *scanner) step(b byte) {
	if s.state == character {
		if b&0xc0 == 0x80 {
			if s.more--; s.more == 0 {
				s.state = ground
			}
			return
		}
		s.state = ground // b begins anew
	}
	if s.state == ground {
		switch {
		case b == 0x1b:
			s.state, s.params = escape, s.params[:0]
		case b >= 0xf0 && b < 0xf8:
			s.state, s.more = character, 3
		case b >= 0xe0 && b < 0xf0:
			s.state, s.more = character, 2
		case b >= 0xc2 && b < 0xe0:
			s.state, s.more = character, 1
		}
		return
	}
	switch b {
	case 0x18, 0x1a: // CAN and SUB end any sequence
		s.state = ground
		return
	case 0x1b:
		if s.params = s.params[:0]; s.state == text {
			s.state = textEnd
		} else {
			s.state = escape
		}
		return
	}
	switch s.state {
	case textEnd:
		if b == '\\' {
			s.state = ground
			return
		}
		s.state = escape
		s.afterEscape(b)
	case escape:
		s.afterEscape(b)
	case control:
		switch {
		case b >= 0x40 && b <= 0x7e:
			s.state = ground
			s.dispatch(string(s.params), b)
		case b >= 0x20 && len(s.params) < 64:
			s.params = append(s.params, b)
		}
	case text:
		if b == 0x07 { // BEL
			s.state = ground
		}
	}
}

func (s *scanner) afterEscape(b byte) {
	s.params = append(s.params, b)
	switch {
	case len(s.params) == 1 && b == '[':
		s.state = control
	case len(s.params) == 1 && bytes.IndexByte([]byte("]P_^X"), b) >= 0:
		s.state = text
	case b >= 0x30 && b < 0x7f:
		s.state = ground
		s.dispatchEscape(string(s.params))
	case b < 0x20:
		s.params = s.params[:len(s.params)-1] // carried out within the sequence
		return
	case b < 0x30:
		return // more to come
	default:
		s.state = ground
	}
	s.params = s.params[:0]
}

func (s *scanner) dispatchEscape(sequence string) {
	switch sequence {
	case "c": // full reset
		s.modes = nil
	case "=":
		s.set("\x1b>", true) // keypad
	case ">":
		s.set("\x1b>", false)
	case "(B":
		s.set("\x1b(B", false) // characters
	default:
		if sequence[0] == '(' {
			s.set("\x1b(B", true)
		}
	}
}

// Those private modes that a program may leave behind, and how a terminal has
// them at first.
var privateModes = map[string]byte{
	"1": 'l', "5": 'l', "6": 'l', "7": 'h', "9": 'l', "25": 'h', "47": 'l', "1000": 'l', "1002": 'l', "1003": 'l', "1004": 'l',
	"1005": 'l', "1006": 'l', "1015": 'l', "1016": 'l', "1047": 'l', "1049": 'l', "2004": 'l', "2026": 'l', "2031": 'l', "2048": 'l',
}

func (s *scanner) dispatch(params string, final byte) {
	switch {
	case (final == 'h' || final == 'l') && len(params) > 0 && params[0] == '?':
		for p := range bytes.SplitSeq([]byte(params[1:]), []byte(";")) {
			if first, ok := privateModes[string(p)]; ok {
				s.set(fmt.Sprintf("\x1b[?%s%c", p, first), final != first)
			}
		}
	case (final == 'h' || final == 'l') && params == "4":
		s.set("\x1b[4l", final == 'h') // insert
	case final == 'm' && len(params) > 1 && params[:2] == ">4":
		s.set("\x1b[>4m", params != ">4" && params != ">4;0") // other keys
	case final == 'u' && len(params) > 0 && (params[0] == '>' || params[0] == '='):
		s.set("\x1b[<u", true) // keys as kitty has them
	case final == 'u' && len(params) > 0 && params[0] == '<':
		s.set("\x1b[<u", false)
	case final == 'q' && len(params) > 0 && params[len(params)-1] == ' ':
		s.set("\x1b[0 q", params != "0 " && params != " ") // the cursor's shape
	case final == 'm' && (params == "" || params[0] != '>' && params[0] != '?'):
		s.set("\x1b[m", params != "" && params != "0") // colours
	case final == 'r' && (params == "" || params[0] != '?'):
		s.set("\x1b7\x1b[r\x1b8", params != "") // the region that scrolls
	}
}

func (s *scanner) set(back string, set bool) {
	if !set {
		delete(s.modes, back)
		return
	}
	if s.modes == nil {
		s.modes = map[string]bool{}
	}
	s.modes[back] = true
}

// fullScreen reports whether a program seems to have the whole screen: it draws
// on the alternate one, or, like top, without a cursor.
func (s *scanner) fullScreen() bool {
	for _, back := range []string{"\x1b[?47l", "\x1b[?1047l", "\x1b[?1049l", "\x1b[?25h"} {
		if s.modes[back] {
			return true
		}
	}
	return false
}

// reset returns what takes back all that was set.
func (s *scanner) reset() []byte {
	var b []byte
	if s.state != ground && s.length > maxHeld {
		b = append(b, 0x18) // ends what has begun
	}
	for _, back := range slices.Sorted(maps.Keys(s.modes)) {
		b = append(b, back...)
	}
	return b
}
