// Package core names the API of templates. KubeVirt compares the source of an export with these names.
package core

const (
	GroupName            = "template.kubevirt.io"
	PluralResourceName   = "virtualmachinetemplates"
	SingularResourceName = "virtualmachinetemplate"
)
