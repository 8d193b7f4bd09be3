import pytest
import torch

from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.generator import GeneratorConfig
from gsv2.models.vits2.model import VITS2
from gsv2.models.vits2.style import StyleConfig
from gsv2.nn.codes import CodeConfig
from gsv2.nn.flow import FlowConfig
from gsv2.nn.transformer import BlockConfig, TransformerConfig
from gsv2.nn.wavenet import WaveNetConfig

BLOCK = BlockConfig(num_heads=1, ffn_dim=16, dropout=0.0)
WAVENET = WaveNetConfig(channels=8, num_layers=2)
TINY = VITS2Config(
    codes=CodeConfig(codebook_size=16, dim=6),
    channels=8,
    latent_channels=8,
    content=TransformerConfig(num_layers=3, block=BLOCK),
    style=StyleConfig(dim=6, channels=8, dropout=0.0),
    posterior=WAVENET,
    flow=FlowConfig(num_couplings=2, wavenet=WAVENET, block=BLOCK),
    generator=GeneratorConfig(channels=16, stage_channels=(8, 8, 8, 4, 4), block_kernels=(3,)),
)


@pytest.fixture
def tiny_vits2() -> VITS2:
    """A small model with codebooks, none of whose parts is the identity."""
    torch.manual_seed(0)
    model = VITS2(TINY)
    model.code_vectors.set_codebooks(torch.randn_like(model.code_vectors.codebooks))
    for parameter in model.flow.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()
