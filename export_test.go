package ssmresume

import "encoding/json"

// DecodeAnswer returns what the fast and the general decoder make of a body.
func DecodeAnswer(body []byte) (fast, general [3]string, isPlain, isJSON bool) {
	fields := func(a *answer) [3]string { return [3]string{a.SessionID, a.StreamURL, a.TokenValue} }
	if a, ok := plainAnswer(string(body)); ok {
		fast, isPlain = fields(a), true
	}
	a := new(answer)
	isJSON = json.Unmarshal(body, a) == nil
	return fast, fields(a), isPlain, isJSON
}
