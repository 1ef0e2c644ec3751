"""EfficientNets of timm and torchvision under PyTorch, on the CPU.

Layers are matched with ours by their order in the network, not by name: so nothing depends on the tables of names that `packages/weights` has.
"""

import os
import sys

# The stand-ins of CUDA's libraries have only the symbols that the loader insists on.
sys.setdlopenflags(os.RTLD_LAZY)
import timm
import torch
import torchvision
from exchange import read_batch, read_tensors, serve, write_tensors
from safetensors.torch import load_file, save_file
from torch import nn

# One thread: two would wait for each other in a loop, which beside other programs takes ten times as long.
torch.set_num_threads(1)


def create(request):
    """The network of a library, with random weights of its own and without dropout."""
    library, variant, classes = request["library"], request["variant"].lower(), request["classes"]
    if library == "torchvision":
        make = getattr(torchvision.models, f"efficientnet_{variant}")
        return make(weights=None, num_classes=classes, dropout=0.0, stochastic_depth_prob=0.0)
    name = {"timm": "efficientnet_", "timm-tf": "tf_efficientnet_"}[library] + variant
    return timm.create_model(name, num_classes=classes, drop_rate=0.0, drop_path_rate=0.0)


def layers(model):
    """(PyTorch's layer, leaf of ours, its tensor) of every parameter and every running statistic, in the order of the network."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            leaves = {"gamma": module.weight, "beta": module.bias, "moving_mean": module.running_mean, "moving_variance": module.running_var}
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            leaves = {"kernel": module.weight} | ({"bias": module.bias} if module.bias is not None else {})
        else:
            continue
        for leaf, tensor in leaves.items():
            yield module, leaf, tensor


def to_ours(module, tensor):
    """[out, in, h, w] → [h, w, in, out], depthwise [channels, 1, h, w] → [h, w, channels, 1], [out, in] → [in, out]."""
    if tensor.ndim == 4:
        return tensor.permute(2, 3, 0, 1) if module.groups > 1 else tensor.permute(2, 3, 1, 0)
    return tensor.T if tensor.ndim == 2 else tensor


def named(model, names):
    """Our name → (PyTorch's layer, its tensor)."""
    parts = {False: [], True: []}
    for module, leaf, tensor in layers(model):
        parts[leaf.startswith("moving_")].append((module, leaf, tensor))
    found = {}
    for is_statistic, ours in ((False, names["parameters"]), (True, names["statistics"])):
        assert len(parts[is_statistic]) == len(ours), f"{len(parts[is_statistic])} tensors, asked for {len(ours)}"
        for name, (module, leaf, tensor) in zip(ours, parts[is_statistic]):
            assert name.split("/")[1] == leaf, f"{name} is a {leaf} here"
            found[name] = (module, tensor)
    return found


def load(request, values=None):
    """The network with the weights of the request, by our names."""
    model = create(request)
    values = values or {name: torch.from_numpy(array.copy()) for name, array in read_tensors(request["weights"]).items()}
    tensors = named(model, request["names"])
    with torch.no_grad():
        for name, (module, tensor) in tensors.items():
            to_ours(module, tensor).copy_(values[name])
    dtype = getattr(torch, request.get("dtype", "float32"))
    return model.to(dtype), images(request, dtype)


def images(request, dtype=torch.float32):
    return torch.from_numpy(read_batch(request)).permute(0, 3, 1, 2).to(dtype).contiguous()


def shapes(request):
    with torch.device("meta"):
        model = create(request)
    found = [(leaf, list(to_ours(module, tensor).shape)) for module, leaf, tensor in layers(model)]
    return {
        "parameters": [shape for leaf, shape in found if not leaf.startswith("moving_")],
        "statistics": [shape for leaf, shape in found if leaf.startswith("moving_")],
        "count": sum(parameter.numel() for parameter in model.parameters()),
    }


def predict(model, x):
    with torch.inference_mode():
        return model.eval()(x).double().numpy().tolist()


def logits(request):
    return predict(*load(request))


def loss_sum(model, x, request):
    losses = nn.functional.cross_entropy(
        model(x), torch.tensor(request["labels"]), reduction="none", label_smoothing=request["labelSmoothing"]
    )
    return (losses * torch.tensor(request["sampleWeights"], dtype=x.dtype)).sum()


def gradients(request):
    """Of the summed loss → file with each parameter's gradient."""
    model, x = load(request)
    loss = loss_sum(model.train(request["batchNorm"] == "batch"), x, request)
    loss.backward()
    tensors = named(model, request["names"])
    write_tensors(
        request["out"],
        {name: to_ours(module, tensor.grad).numpy() for name, (module, tensor) in tensors.items() if tensor.grad is not None},
    )
    return loss.item()


def train(request):
    """Steps of AdamW on one batch → file with weights and running statistics; the loss before each step, per unit of weight."""
    model, x = load(request)
    model.train(request["batchNorm"] == "batch")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1 - request["statisticsMomentum"]
    tensors = named(model, request["names"])
    decays = [tensor for name, (_, tensor) in tensors.items() if name.endswith("/kernel")]
    others = [tensor for name, (_, tensor) in tensors.items() if name.endswith(("/bias", "/gamma", "/beta"))]
    optimizer = torch.optim.AdamW(
        [{"params": decays, "weight_decay": request["optimizer"]["weightDecay"]}, {"params": others, "weight_decay": 0.0}],
        lr=request["learningRate"],
        betas=(request["optimizer"]["beta1"], request["optimizer"]["beta2"]),
        eps=request["optimizer"]["epsilon"],
    )
    weight_sum, losses = sum(request["sampleWeights"]), []
    for _ in range(request["steps"]):
        optimizer.zero_grad()
        loss = loss_sum(model, x, request) / weight_sum
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    write_tensors(request["out"], {name: to_ours(module, tensor).detach().numpy() for name, (module, tensor) in tensors.items()})
    return losses


def save(request):
    """Takes over the weights and writes them as users of the library do, → logits of the images."""
    model, x = load(request)
    state = model.state_dict()
    if request["format"] == "safetensors":
        save_file(state, request["out"])
    else:
        torch.save(state, request["out"], _use_new_zipfile_serialization=request["format"] == "torch-zip")
    return predict(model, x)


def load_exported(request):
    """Reads an exported safetensors file with the library of that name, puts it into the network → logits of the images."""
    return predict(*load(request, load_file(request["file"])))


serve({name: globals()[name] for name in ("shapes", "logits", "gradients", "train", "save", "load_exported")})
