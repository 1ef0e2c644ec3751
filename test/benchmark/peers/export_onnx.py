"""Writes the network of pytorch_peer.py, with softmax, as an ONNX file: export_onnx.py SETUP FILE. For onnxruntime_peer.py."""

import json
import os
import sys

# The stand-ins of CUDA's libraries have only the symbols that the loader insists on.
sys.setdlopenflags(os.RTLD_LAZY)
import timm
import torch

setup, path = json.loads(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)
name = f"tf_efficientnet_{setup['variant'].lower()}"
model = timm.create_model(name, num_classes=setup["classes"], drop_rate=0.0, drop_path_rate=0.0, exportable=True)
network = torch.nn.Sequential(model, torch.nn.Softmax(1)).eval()
size = setup["imageSizePx"]
# The exporter of TorchScript: the newer one needs packages beyond those that the peers share.
torch.onnx.export(network, torch.zeros(setup["batchSize"], 3, size, size), path, input_names=["images"], opset_version=17, dynamo=False)
