//go:build !linux

package netwake

import (
	"context"
	"errors"
)

func notify(context.Context, chan<- struct{}) error { return errors.ErrUnsupported }
