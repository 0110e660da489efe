//go:build tools

// Package wrapper requires Pulumi's command: `go install` refuses the module itself for its
// `replace` line.
package wrapper

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
