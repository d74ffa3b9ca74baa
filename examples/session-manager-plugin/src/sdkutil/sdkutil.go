// Package sdkutil keeps the Region and the profile for the sessions of the process,
// as session-manager-plugin's package of that name does: see package session.
package sdkutil

import "sync/atomic"

var set atomic.Pointer[[2]string]

// SetRegionAndProfile sets what the sessions that follow find their credentials by.
func SetRegionAndProfile(region, profile string) { set.Store(&[2]string{region, profile}) }

// RegionAndProfile returns what was set; empty strings if nothing was.
func RegionAndProfile() (region, profile string) {
	if p := set.Load(); p != nil {
		return p[0], p[1]
	}
	return "", ""
}
