// Package netwake has a session back as soon as there is a network again, and not
// at the next time that it is tried: [Notify] feeds the Wake of an
// [github.com/ssmresume/ssmresume.ReconnectorOptions], or of the Reconnector option
// of package datachannel, with what the kernel says of addresses and routes.
//
// On Linux. Elsewhere Notify returns [errors.ErrUnsupported], and the Reconnector
// polls as it does without, once a second at most: what macOS and Windows have of
// the kind has not been tried.
//
// It ends waits, and nothing else. A channel that has died in silence is not noticed
// sooner. And where another name server comes with another network, the attempt may
// come before it, and fail; then polling goes on.
package netwake

import "context"

// Notify sends on wake when an interface or an address can be used that could not
// be before, and when a route has come, until ctx ends. It does not wait for the
// receiver: give the channel a buffer of 1. The channel may have other senders, is
// not closed, and should be that of one Reconnector: call Notify for each.
//
// What one event brings makes one value, 10 ms after the first of it, so that a
// Reconnector makes one attempt for it. Where there is something new all the time,
// as on a router, there are 20 values in a row, and then one a second.
//
// Nothing is sent for what goes, what is not new, loopback, link-local addresses,
// an IPv6 address that is tentative yet, an interface without an address or without
// a carrier, and a route of an address family of which no address can be used.
//
// An error says that nothing will be sent, which is no reason to give up: without
// Notify the Reconnector polls. It is [errors.ErrUnsupported] on systems other than
// Linux.
func Notify(ctx context.Context, wake chan<- struct{}) error { return notify(ctx, wake) }
