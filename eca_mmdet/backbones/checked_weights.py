"""A check of the weights that are loaded into a backbone."""

from typing import TYPE_CHECKING, Dict

from torch import Tensor

from .family import family_of
from .weights import check_block_layers, check_kernel_sizes, report_new_attention

if TYPE_CHECKING:
    from mmengine.model import BaseModule as _Base
else:
    _Base = object


class CheckedWeights(_Base):
    """Mixin that makes a backbone reject the weights of another network.

    List it before mmdet's class in the bases, so that its ``_load_from_state_dict`` is called first.
    """

    def check_weights(self, state_dict: Dict[str, Tensor], prefix: str = '') -> None:
        """Raise an error if the weights belong to another network.

        mmengine loads pretrained weights non-strictly: it only warns about a tensor that does not
        fit, and trains without it. This check also rejects weights with another attention or other
        kernel sizes, and a state_dict without any matching name. The weights of a plain network are
        accepted; the attention then keeps its initial values.

        Args:
            state_dict: The tensors to load.
            prefix: The prefix of the backbone's names in ``state_dict``.

        Raises:
            ValueError: If the weights belong to another network.
        """
        backbone_state, family = self.state_dict(keep_vars=True), family_of(self)
        check_kernel_sizes(backbone_state, state_dict, family, prefix)
        check_block_layers(backbone_state, state_dict, family, prefix)
        if not prefix and not any(key in backbone_state for key in state_dict):
            raise ValueError(
                f'none of the {len(backbone_state)} tensors of {type(self).__name__} is in the checkpoint, '
                f'whose first names are {sorted(state_dict)[:3]}; convert it with tools/convert_weights.py, '
                "or select a part of it with init_cfg=dict(..., prefix='backbone.')"
            )

    def _load_from_state_dict(self, state_dict: Dict[str, Tensor], prefix: str, *args) -> None:
        self.check_weights(state_dict, prefix)
        backbone_state = self.state_dict(keep_vars=True)
        # On the meta device, loading is only a trial.
        if not any(value.is_meta for value in backbone_state.values()):
            report_new_attention(backbone_state, state_dict, family_of(self), prefix, self.frozen_stages)
        super()._load_from_state_dict(state_dict, prefix, *args)
