//go:build !linux

package netwake_test

import (
	"errors"
	"testing"

	"github.com/ssmresume/ssmresume/netwake"
)

func TestUnsupported(t *testing.T) {
	if err := netwake.Notify(t.Context(), make(chan struct{}, 1)); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
