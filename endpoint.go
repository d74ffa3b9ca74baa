package ssmresume

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A partition is a group of AWS Regions with DNS names of its own. A Region
// belongs to it if its name is one of prefixes followed by word-number; the
// partition's name followed by "-global" is a pseudo-Region of it.
//
// The table is that of botocore's partitions.json (1.43.11). All partitions
// have FIPS and dual-stack endpoints.
type partition struct {
	name            string
	prefixes        []string
	dnsSuffix       string
	dualStackSuffix string
}

var partitions = []partition{
	{"aws", []string{"us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"}, "amazonaws.com", "api.aws"},
	{"aws-cn", []string{"cn-"}, "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"aws-eusc", []string{"eusc-de-"}, "amazonaws.eu", "api.amazonwebservices.eu"},
	{"aws-iso", []string{"us-iso-"}, "c2s.ic.gov", "api.aws.ic.gov"},
	{"aws-iso-b", []string{"us-isob-"}, "sc2s.sgov.gov", "api.aws.scloud"},
	{"aws-iso-e", []string{"eu-isoe-"}, "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"aws-iso-f", []string{"us-isof-"}, "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"aws-us-gov", []string{"us-gov-"}, "amazonaws.com", "api.aws"},
}

// partitionOf returns the partition whose pattern region matches, or nil.
func partitionOf(region string) *partition {
	for i := range partitions {
		for _, prefix := range partitions[i].prefixes {
			if rest, ok := strings.CutPrefix(region, prefix); ok && isWordNumber(rest) {
				return &partitions[i]
			}
		}
	}
	return nil
}

// isWordNumber reports whether s matches ^\w+-\d+$.
func isWordNumber(s string) bool {
	word, number, ok := strings.Cut(s, "-")
	return ok && word != "" && number != "" &&
		!strings.ContainsFunc(word, func(r rune) bool { return !isWordRune(r) }) &&
		!strings.ContainsFunc(number, func(r rune) bool { return r < '0' || r > '9' })
}

func isWordRune(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

// endpointURL returns custom, where that is not nil, or else the Region's own
// endpoint.
func endpointURL(region string, custom *string, fips, dualStack bool) (*url.URL, error) {
	// The Region is part of the host name and of the signature's scope.
	switch {
	case region == "":
		return nil, fmt.Errorf("no region: set Options.Region, AWS_REGION or the profile's region: %w", &aws.MissingRegionError{})
	case !smithyhttp.ValidHostLabel(region) || region[0] == '-' || region[len(region)-1] == '-':
		return nil, fmt.Errorf("invalid region %q: want a name such as us-east-2", region)
	}
	if custom != nil {
		if fips || dualStack {
			return nil, errors.New("a custom endpoint cannot be combined with FIPS or dual-stack: drop BaseEndpoint (AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL, endpoint_url), UseFIPS or UseDualStack")
		}
		return customEndpoint(*custom)
	}

	p := partitionOf(region)
	for i := range partitions {
		if region == partitions[i].name+"-global" {
			p = &partitions[i]
		}
	}
	if p == nil {
		p = &partitions[0]
	}
	service, suffix := "ssm", p.dnsSuffix
	if dualStack {
		suffix = p.dualStackSuffix
	}
	// The endpoints of GovCloud are FIPS endpoints without saying so, but for the
	// dual-stack ones.
	if fips && (p.name != "aws-us-gov" || dualStack) {
		service = "ssm-fips"
	}
	return &url.URL{Scheme: "https", Host: service + "." + region + "." + suffix, Path: "/"}, nil
}

// customEndpoint parses a BaseEndpoint. Its errors do not repeat the URL, which
// may hold a password.
func customEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || !validHost(u):
		return nil, errors.New("invalid BaseEndpoint: want an absolute URL such as https://host:port/path")
	case u.User != nil:
		return nil, errors.New("invalid BaseEndpoint: it holds a user name or password, which is not sent; remove it")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return nil, errors.New("invalid BaseEndpoint: it holds a query or a fragment, which is not sent; remove it")
	}
	// The signer drops a default port, and with it the brackets of an IPv6 address.
	if ip, ok := strings.CutSuffix(u.Host, map[string]string{"http": "]:80", "https": "]:443"}[u.Scheme]); ok {
		u.Host = ip + "]"
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// validHost reports whether u names a host: a DNS name or an IP address, and
// a port of 1 to 65535 if any.
func validHost(u *url.URL) bool {
	name := u.Hostname()
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return false
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return false
	}
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(name)
		return err == nil && ip.Is6() && ip.Zone() == ""
	}
	if name == "" || name[0] == '.' || len(name) > 255 || strings.Contains(name, "..") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r != '.' && r != '-' && !isWordRune(r) })
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// ssmmessagesRegion returns the partition and Region whose data channels host
// serves, or two empty strings. The names are
//
//	ssmmessages[-fips].{region}.{suffix}
//	vpce-….ssmmessages[-fips].{region}.vpce.{suffix}   (PrivateLink)
//
// where the partition of {region} must own {suffix}.
func ssmmessagesRegion(host string) (partitionName, region string) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	service, rest, _ := strings.Cut(host, ".")
	privateLink := strings.HasPrefix(service, "vpce-")
	if privateLink {
		service, rest, _ = strings.Cut(rest, ".")
	}
	if service != "ssmmessages" && service != "ssmmessages-fips" {
		return "", ""
	}
	region, suffix, _ := strings.Cut(rest, ".")
	p := partitionOf(region)
	if p == nil && isRegionShaped(region) {
		p = &partitions[0] // a Region newer than the table
	}
	if p == nil {
		return "", ""
	}
	if privateLink {
		if suffix != "vpce."+p.dnsSuffix {
			return "", ""
		}
	} else if suffix != p.dnsSuffix && suffix != p.dualStackSuffix {
		return "", ""
	}
	return p.name, region
}

// isRegionShaped reports whether s looks like the name of a Region: letters,
// more words, and a number at the end.
func isRegionShaped(s string) bool {
	i := strings.LastIndexByte(s, '-')
	if i < 0 || !isWordNumber("w"+s[i:]) {
		return false
	}
	words := strings.Split(s[:i], "-")
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r < 'a' || r > 'z' }) {
			return false
		}
	}
	return len(words) >= 2
}

// isAWSHost reports whether host lies in a partition's domain.
func isAWSHost(host string) bool {
	host = "." + strings.ToLower(strings.TrimSuffix(host, "."))
	for _, p := range partitions {
		if strings.HasSuffix(host, "."+p.dnsSuffix) || strings.HasSuffix(host, "."+p.dualStackSuffix) {
			return true
		}
	}
	return false
}
