"""A served model as an ONNX graph: users int64 `[batch]` in, scores float32 `[batch, items]` out."""

import importlib
import json
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sif.errors import RunError
from sif.operations import operation
from sif.operations.hinge import HINGE
from sif.operations.tables import MlpFactor
from sif.serve.folding import Folded, as_folded
from sif.serve.forms import Served
from sif.serve.item_factors import ItemFactors, Term
from sif.serve.items import ByRows, ItemItem

__all__ = ["onnx_file"]

_OPSET, _IR = 18, 8  # of 2022: read by every runtime since
_LIMIT = 2**31 - 2**20  # bytes of a protobuf message
_LAST = torch.tensor([1])  # the axis of the entries of a vector


def onnx_file(served: Served, meta: dict[str, Any]) -> bytes:
    """Return the graph, with `meta` (raw ids in it) as JSON in its metadata under the key `sif`.

    Input `users`: numbers of users int64 `[batch]`. Output `scores` float32 `[batch, items]`. An inner product is
    one matrix product; distances and MLPs are made one user at a time, so that memory holds items x dim; weights of
    items by items are multiplied with what a user has. Raises `RunError` where the package onnx is missing, where the
    tables are too large for one file, and where no table makes the scores.
    """
    try:
        onnx = importlib.import_module("onnx")
    except ImportError:
        raise RunError("the format onnx needs the package onnx: pip install onnx") from None
    graph = _Graph(onnx)
    if isinstance(served, ByRows):
        total = _by_rows(graph, served)
    else:
        served.arrays()  # says what cannot be exported
        total = _folded(graph, as_folded(served))
    graph.node("Identity", total, name="scores")
    if graph.size > _LIMIT:
        raise RunError(f"the tables take {graph.size / 2**30:.1f} GiB, and an ONNX file holds 2; export to npz instead")
    model = graph.model(served.n_items, json.dumps(meta))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _by_rows(graph: "_Graph", form: ByRows) -> str:
    """Add the scores that what users have makes, and return them."""
    has, alike = form.histories, bool((form.histories.data == 1).all())
    tables = 4 * has.shape[1] ** 2 if isinstance(form, ItemItem) else 0  # sparse ones too: ONNX has dense ones alone
    if has.shape[0] * has.shape[1] * (1 if alike else 4) + tables > _LIMIT:
        raise RunError("what users have takes more than the 2 GiB of an ONNX file; export to npz instead")
    dense = has.astype(bool).toarray() if alike else has.astype(np.float32).toarray()
    rows = graph.rows("users.histories", torch.from_numpy(dense))
    if alike:
        rows = graph.node("Cast", rows, to=graph.onnx.TensorProto.FLOAT)
    if isinstance(form, ItemFactors):
        parts = [_term(graph, number, term, rows) for number, term in enumerate(form.terms)]
        return reduce(partial(graph.node, "Add"), parts)
    assert isinstance(form, ItemItem)
    return graph.node("MatMul", rows, graph.matrix("items.weights", form.weights))


def _term(graph: "_Graph", number: int, term: Term, rows: str) -> str:
    """Add the scores of a term: by its two matrices where they are smaller than items x items, else by the product."""
    items, inner = term.left.shape
    if len(term.powers) > 1 or 2 * inner >= items:
        if 4 * items**2 > _LIMIT:
            raise RunError("weights of items by items take more than the 2 GiB of an ONNX file; export to npz instead")
        return graph.node("MatMul", rows, graph.matrix(f"items.weights{number}", term.weights()))
    left = graph.matrix(f"items.left{number}", term.left * term.powers[0])
    return graph.node("MatMul", graph.node("MatMul", rows, left), graph.matrix(f"items.right{number}", term.closing))


def _folded(graph: "_Graph", folded: Folded) -> str:
    """Add the scores of folded tables, and return them."""
    tables = folded.tables
    users, items = tables.users, tables.items
    total = graph.node("Add", graph.rows("users.bias", users.bias.unsqueeze(1)), graph.table("items.bias", items.bias))
    if users.product.shape[1]:
        left = graph.rows("users.product", users.product)
        product = graph.node("MatMul", left, graph.table("items.product", items.product.T))
        total = graph.node("Add", total, product)
    if users.l1_plus.shape[1] or users.l1_minus.shape[1] or tables.mlps:
        total = graph.node("Add", total, _one_by_one(graph, folded))
    return total


class _Graph:
    """Nodes and tables as they are added; names are made up in order, after a prefix: a body sees the names outside."""

    def __init__(self, onnx: Any, prefix: str = "") -> None:
        self.onnx, self.size, self._count, self._prefix = onnx, 0, 0, prefix
        self.nodes, self.tables = list[Any](), list[Any]()

    def table(self, name: str, values: Tensor) -> str:
        """Add a table of numbers."""
        array = np.ascontiguousarray(values.cpu().numpy())
        self.size += array.nbytes
        self.tables.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def matrix(self, name: str, values: Any) -> str:
        """Add an array, or a CSR as one."""
        whole = values.toarray() if sparse.issparse(values) else values
        return self.table(name, torch.from_numpy(np.ascontiguousarray(whole, dtype=np.float32)))

    def rows(self, name: str, values: Tensor) -> str:
        """Add a table of the users, and return its rows for the users of the batch."""
        return self.node("Gather", self.table(name, values), "users")

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node and return its output's name."""
        self._count += 1
        output = name or f"{self._prefix}{kind.lower()}{self._count}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def model(self, n_items: int, meta: str) -> Any:
        """Return the whole model."""
        helper, types = self.onnx.helper, self.onnx.TensorProto
        users = helper.make_tensor_value_info("users", types.INT64, ["batch"])
        scores = helper.make_tensor_value_info("scores", types.FLOAT, ["batch", n_items])
        graph = helper.make_graph(self.nodes, "sif", [users], [scores], self.tables)
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="sif"
        )
        helper.set_model_props(made, {"sif": meta})
        return made


def _one_by_one(graph: _Graph, folded: Folded) -> str:
    """Add a loop over the batch whose body makes the scores `[items]` of one user's distances and MLPs."""
    tables, types, helper = folded.tables, graph.onnx.TensorProto, graph.onnx.helper
    body = _Graph(graph.onnx, "user.")
    last = body.table("last", _LAST)
    rows, terms, inputs = list[str](), list[str](), list[Any]()

    def scanned(name: str, values: Tensor) -> str:
        rows.append(graph.rows(f"users.{name}", values))
        inputs.append(helper.make_tensor_value_info(f"user.{name}", types.FLOAT, [values.shape[1]]))
        return f"user.{name}"

    for name in ("l1_plus", "l1_minus"):
        left, right = getattr(tables.users, name), getattr(tables.items, name)
        if left.shape[1]:
            apart = body.node("Sub", graph.table(f"items.{name}", right), scanned(name, left))
            distance = body.node("ReduceSum", body.node("Abs", apart), last, keepdims=0)
            terms.append(distance if name == "l1_plus" else body.node("Neg", distance))
    for number, factor in enumerate(tables.mlps):
        user = scanned(f"mlp{number}", tables.users.mlps[number])
        item = graph.table(f"items.mlp{number}", tables.items.mlps[number])
        terms.append(_mlp(graph, body, factor, f"mlp{number}", user, item))
    total = terms[0]
    for term in terms[1:]:
        total = body.node("Add", total, term)
    out = body.node("Identity", total, name="row")
    outputs = [helper.make_tensor_value_info(out, types.FLOAT, [folded.n_items])]
    inner = helper.make_graph(body.nodes, "user", inputs, outputs, body.tables)
    return graph.node("Scan", *rows, body=inner, num_scan_inputs=len(rows))


def _mlp(graph: _Graph, body: _Graph, factor: MlpFactor, name: str, user: str, item: str) -> str:
    """Add the score of joined vectors to the body and return it, `[items]`; its tables stand outside."""
    if factor.join == HINGE.name:
        hidden = body.node("Relu", body.node("Add", item, user))
    else:
        made = operation(factor.join).onnx(body.node, user, item)
        if made is None:
            raise RunError(
                f"operation {factor.join} has no ONNX form: give it a method onnx, or export to npz or safetensors"
            )
        hidden = made
    last = body.table(f"{name}.last", _LAST)
    if not factor.layers:
        return body.node("Neg", body.node("ReduceSum", body.node("Mul", hidden, hidden), last, keepdims=0))
    for layer, (weight, bias) in enumerate(factor.layers):
        if layer:
            hidden = body.node("Relu", hidden)
        product = body.node("MatMul", hidden, graph.table(f"{name}.weight{layer}", weight.T))
        hidden = body.node("Add", product, graph.table(f"{name}.bias{layer}", bias))
    return body.node("Squeeze", hidden, last)
