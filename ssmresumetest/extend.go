package ssmresumetest

import "net/http"

const (
	targetPrefix    = "AmazonSSM."
	dataChannelPath = "/v1/data-channel/"
)

// SetOperation sets what answers another operation of the service, such as
// "StartSession". It is called with requests whose signature is good, and by
// several at once. ResumeSession can be replaced, too; a nil function removes
// what was set.
func (s *Server) SetOperation(name string, answer func(Request) *Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.operations == nil {
		s.operations = map[string]func(Request) *Response{}
	}
	s.operations[targetPrefix+name] = answer
}

// SetDataChannel sets what answers the WebSocket handshakes of the StreamUrls on
// the server's own host, after the function of [Server.SetRespond] and before
// every check; see [Server.VerifyHandshake] and [Server.LastToken]. Without it
// they are answered as an unknown operation.
func (s *Server) SetDataChannel(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dataChannel = h
}

// Issue gives a session a new token and returns it with a StreamUrl, as
// ResumeSession's answer would and StartSession's does. It returns empty strings
// for a session that is gone.
func (s *Server) Issue(sessionID string) (tokenValue, streamURL string) {
	s.mu.Lock()
	session := s.sessionFor(sessionID)
	if session == nil || session.gone != alive {
		s.mu.Unlock()
		return "", ""
	}
	out := s.issue(sessionID, session)
	s.mu.Unlock() // the function that makes the URL may call the server
	return out.TokenValue, s.newStreamURL(sessionID)
}
