package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ssmresume/ssmresume/datachannel"
)

// load reads the state of the last attach, if there is one.
func (o *options) load() error {
	data, err := os.ReadFile(o.statePath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	state, err := datachannel.ParseState(data)
	if err != nil {
		return fmt.Errorf("--state: %s: %w; without it, the place is found by asking the agent: remove it", o.statePath, err)
	}
	if o.sessionID == "" {
		o.sessionID = state.SessionID()
	}
	if o.sessionID != state.SessionID() {
		return fmt.Errorf("--state: %s is of session %s: give each session a file of its own", o.statePath, state.SessionID())
	}
	o.state = &state
	return nil
}

// save writes the state so that there is the whole of it, or none.
func save(path string, state datachannel.State) (err error) {
	data, err := state.Reveal()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // for its owner only
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
