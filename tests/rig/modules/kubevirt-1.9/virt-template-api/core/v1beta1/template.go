// Package v1beta1 has the fields of a template that KubeVirt's export reads. No template ever gets that far: the rig deploys
// nothing that would serve one.
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const ConditionReady = "Ready"

var GroupVersion = schema.GroupVersion{Group: "template.kubevirt.io", Version: "v1beta1"}

type (
	VirtualMachineTemplate struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata,omitempty"`
		Spec              VirtualMachineTemplateSpec   `json:"spec,omitempty"`
		Status            VirtualMachineTemplateStatus `json:"status,omitempty"`
	}
	VirtualMachineTemplateSpec struct {
		VirtualMachine *runtime.RawExtension `json:"virtualMachine,omitempty"`
		Parameters     []Parameter           `json:"parameters,omitempty"`
	}
	VirtualMachineTemplateStatus struct {
		Conditions []metav1.Condition `json:"conditions,omitempty"`
	}
	Parameter struct {
		Name  string `json:"name"`
		Value string `json:"value,omitempty"`
	}
)

// DeepCopy copies what is read; nothing below it is ever written to.
func (template *VirtualMachineTemplate) DeepCopy() *VirtualMachineTemplate {
	copied := *template
	return &copied
}

func (template *VirtualMachineTemplate) DeepCopyObject() runtime.Object { return template.DeepCopy() }
