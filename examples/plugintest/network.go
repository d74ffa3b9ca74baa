package plugintest

import (
	"sync/atomic"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

func terminated(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{Program: parrot})
	p.shows("$ ")
	s.srv.Terminate(p.session.ID())
	p.ends()
}

func terminatedWithWords(s *stage) {
	p := s.start(withTerminal, datachanneltest.Options{Program: parrot})
	p.shows("$ ")
	const words = "Your session timed out due to inactivity."
	p.session.Terminate(words)
	p.exits(0)
	p.shows("SessionId: " + p.session.ID() + " : " + words)
}

func terminatedInOutage(s *stage) {
	p := s.start(withPipes, datachanneltest.Options{Program: parrot})
	p.shows("$ ")
	s.srv.SetNetwork(ssmresumetest.Refused)
	s.sleep(time.Second)
	s.srv.Terminate(p.session.ID())
	s.srv.SetNetwork(ssmresumetest.Up)
	p.exits(0)
	p.shows(p.session.ID())
}

func timedOutInOutage(s *stage) {
	p := s.start(withPipes, datachanneltest.Options{Program: parrot})
	p.shows("$ ")
	s.srv.SetNetwork(ssmresumetest.Refused)
	s.sleep(time.Second)
	s.srv.TimeOut(p.session.ID())
	s.srv.SetNetwork(ssmresumetest.Up)
	p.exits(0)
	p.shows("Session: " + p.session.ID() + " timed out.")
}

// count starts a session whose output is numbered lines. The function that it
// returns ends that, and checks that all came, once.
func (s *stage) count(every time.Duration) (*process, *counter, func()) {
	c := newCounter(every)
	p := s.start(withPipes, datachanneltest.Options{Program: c.program})
	p.shows(counterLine(2))
	return p, c, func() {
		p.showsWithin(back, counterLine(c.lines.Load()))
		close(c.end)
		p.ends()
		s.whole(p.between(), c.text())
	}
}

// slow is a pace at which the channel is quiet between two lines.
const slow = 100 * time.Millisecond

// quietly causes a fault while nothing is on its way. What AWS's plugin makes of one
// is a matter of luck else: an output whose acknowledgement could not be written is
// printed again, and one whose acknowledgement was lost is as in lostAckLostOutput.
func (c *counter) quietly(p *process, fault func()) {
	c.printing.Lock()
	defer c.printing.Unlock()
	p.shows(counterLine(c.lines.Load() - 1))
	p.until(patience, func() bool { return p.session.Stats().Unacknowledged == 0 }, "the output is not acknowledged")
	fault()
}

func closeEachSecond(s *stage) {
	p, c, check := s.count(slow)
	for range 5 {
		s.sleep(time.Second)
		c.quietly(p, func() { p.session.CloseChannel(1000, "Bye") })
	}
	check()
}

func cut(s *stage) {
	p, c, check := s.count(slow)
	c.quietly(p, p.session.Cut)
	check()
}

func cutBusy(s *stage) {
	p, _, check := s.count(2 * time.Millisecond)
	for range 20 {
		s.sleep(200 * time.Millisecond)
		p.session.Cut()
	}
	check()
}

func outage(d time.Duration) func(*stage) {
	return func(s *stage) {
		p, c, check := s.count(slow)
		c.quietly(p, func() { s.srv.SetNetwork(ssmresumetest.Refused) })
		s.sleep(d)
		s.srv.SetNetwork(ssmresumetest.Up)
		check()
	}
}

// forgotten has few lines: the agent repeats no more than 10 lost ones a second.
func forgotten(s *stage) {
	p, c, check := s.count(time.Second)
	c.quietly(p, s.srv.ForgetConnections)
	p.showsWithin(90*time.Second, counterLine(c.lines.Load()+5))
	check()
}

// disorderly doubles and delays messages both ways.
func disorderly() func(datachanneltest.Message) datachanneltest.Action {
	var n atomic.Int64
	return func(datachanneltest.Message) datachanneltest.Action {
		switch n.Add(1) % 7 {
		case 2:
			return datachanneltest.Late
		case 5:
			return datachanneltest.Twice
		}
		return datachanneltest.Deliver
	}
}

func disorder(s *stage) {
	p, _, check := s.count(2 * time.Millisecond)
	p.session.SetFilter(disorderly())
	s.sleep(time.Second)
	check()
}

func disorderPort(s *stage) {
	const n = 512 << 10
	p := s.start(withPipes, datachanneltest.Options{Dial: serve(digestServer(n))})
	conn := s.dial(p.opens())
	defer conn.Close()
	p.session.SetFilter(disorderly())
	s.need(upload(conn, numbered(n)))
	p.session.SetFilter(nil) // what is late waits for a next message, and there may be none
	p.interrupt()
}

// lostAckLostOutput loses the acknowledgement of one output, so that the agent
// repeats it, and only it, until it is acknowledged again; and then another output.
func lostAckLostOutput(s *stage) {
	p, _, check := s.count(20 * time.Millisecond)
	var lostAck, lostOutput atomic.Int64
	p.session.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
		switch {
		case m.From == datachanneltest.Client && m.Type == "acknowledge" && lostAck.CompareAndSwap(0, m.Number):
			return datachanneltest.Drop
		case m.From == datachanneltest.Agent && m.Type == "output_stream_data" && lostAck.Load() > 0 && m.Number > lostAck.Load()+2 && lostOutput.CompareAndSwap(0, m.Number):
			return datachanneltest.Drop
		}
		return datachanneltest.Deliver
	})
	s.until(patience, func() bool { return lostOutput.Load() > 0 }, "nothing was lost")
	check()
}

func keyInOutage(s *stage) {
	p := s.start(withPipes, datachanneltest.Options{Program: parrot})
	p.shows("$ ")
	p.types("one\n")
	p.shows("you said one.\n$ ")
	s.srv.SetNetwork(ssmresumetest.Refused)
	for _, keys := range []string{"t", "w", "o\n"} {
		s.sleep(time.Second / 2)
		p.types(keys)
	}
	s.sleep(time.Second / 2)
	s.srv.SetNetwork(ssmresumetest.Up)
	p.showsWithin(back, "you said two.\n$ ")
	p.types("exit\n")
	p.ends()
	s.whole(p.between(), "$ you said one.\n$ you said two.\n$ ")
}

func newKeys(s *stage) {
	p, c, check := s.count(slow)
	s.newKeys()
	s.writeCredentials()
	c.quietly(p, p.session.Cut)
	check()
}

func agentAway(s *stage) {
	p := s.start(withPipes, datachanneltest.Options{Program: parrot})
	p.shows("$ ")
	p.session.DisconnectAgent()
	p.types("one\n")
	s.sleep(2 * time.Second)
	p.types("two\n")
	p.session.ReconnectAgent()
	p.shows("you said two.\n$ ")
	p.types("exit\n")
	p.ends()
	s.whole(p.between(), "$ you said one.\n$ you said two.\n$ ")
}
