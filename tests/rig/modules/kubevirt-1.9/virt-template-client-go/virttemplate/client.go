// Package virttemplate has no client. KubeVirt asks for one when the feature gate `Template` is on, and kvnet has it off.
package virttemplate

import (
	"errors"

	"k8s.io/client-go/rest"
)

type (
	Clientset struct{}
	V1beta1   struct{}
)

func NewForConfig(*rest.Config) (*Clientset, error) {
	return nil, errors.New("this build has no client for templates of VMs")
}

func (*Clientset) TemplateV1beta1() V1beta1 { return V1beta1{} }

func (V1beta1) RESTClient() rest.Interface { return nil }
