package plugin

import "testing"

// TestEndpoint: the argument is that of Systems Manager, or ignored.
func TestEndpoint(t *testing.T) {
	for s, want := range map[string]bool{
		"https://ssm.us-east-2.amazonaws.com":                     true,
		"https://ssm.us-east-2.amazonaws.com/":                    true,
		"https://vpce-0a1b-2c3d.ssm.us-east-2.vpce.amazonaws.com": true,
		"http://localhost:4566":                                   true,
		"":                                                        false,
		"ssm.us-east-2.amazonaws.com":                             false,
		"https://ecs.us-east-2.amazonaws.com":                     false,
		"https://vpce-0a1b-2c3d.ecs.us-east-2.vpce.amazonaws.com": false,
		"wss://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/ana-0a1b?role=publish_subscribe": false,
		"https://ssmmessages.us-east-2.amazonaws.com/v1/data-channel/ana-0a1b":                      false,
		"%": false,
	} {
		if got := parseEndpoint(s); got != s && want || got != "" && !want {
			t.Errorf("%q: %q", s, got)
		}
	}
}
