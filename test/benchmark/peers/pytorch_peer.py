"""PyTorch, eager, with timm's EfficientNet in TensorFlow's padding: the same arithmetic. channels_last, which is its faster layout on CPUs."""

import os
import sys

# The stand-ins of CUDA's libraries have only the symbols that the loader insists on.
sys.setdlopenflags(os.RTLD_LAZY)
import timm
import torch
from protocol import batch, serve

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])


def training_step(setup, model, images, labels):
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), setup["learningRate"], eps=1e-7, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss), loss.item()

    return step


def prediction_step(setup, model, images):
    model.eval()

    def step():
        with torch.inference_mode():
            assert abs(model(images).softmax(1).numpy().sum() - setup["batchSize"]) < 1e-2

    return step


def prepare(setup):
    # As TensorFlow does in its threads: numbers next to zero would cost a hundred times as much as others.
    torch.set_flush_denormal(True)
    torch.set_num_threads(setup["threads"])
    torch.manual_seed(0)
    pixels, labels = batch(setup)
    normalized = (torch.from_numpy(pixels) / 255 - MEAN) / STD
    images = normalized.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    name = f"tf_efficientnet_{setup['variant'].lower()}"
    model = timm.create_model(name, num_classes=setup["classes"], drop_rate=0.0, drop_path_rate=0.0)
    model = model.to(memory_format=torch.channels_last)
    if setup["mode"] == "train-step":
        return training_step(setup, model, images, torch.from_numpy(labels))
    return prediction_step(setup, model, images)


serve(prepare)
