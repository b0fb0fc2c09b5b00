using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Gradus.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Inference.Cpu;

/// <summary>Where a model's weights lie, in place; a bias or norm is null where the family has none. Valid while the model lives and its tensors stay the same ones.</summary>
internal sealed unsafe class WeightPointers
{
    public WeightPointers(CausalLm model)
    {
        Embedding = Of(model[WeightNames.Embedding]);
        FinalNorm = Of(model[WeightNames.FinalNorm]);
        Head = model.Config.TieEmbeddings ? Embedding : Of(model[WeightNames.Head]);
        Layers = [.. Enumerable.Range(0, model.Config.Layers).Select(layer => new LayerPointers(model, layer))];
    }

    public float* Embedding { get; }

    public float* FinalNorm { get; }

    public float* Head { get; }

    public LayerPointers[] Layers { get; }

    // Row slices would reach beyond 2 GiB, where a span of the whole cannot.
    internal static float* Of(Tensor weight)
    {
        using var scope = NewDisposeScope();
        return (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(weight.dim() > 1 ? weight.narrow(0, 0, 1).bytes : weight.bytes));
    }
}

internal sealed unsafe class LayerPointers(CausalLm model, int layer)
{
    public float* AttentionNorm { get; } = Find(model, layer, "input_layernorm.weight");

    public float* Query { get; } = Find(model, layer, "self_attn.q_proj.weight");

    public float* Key { get; } = Find(model, layer, "self_attn.k_proj.weight");

    public float* Value { get; } = Find(model, layer, "self_attn.v_proj.weight");

    public float* Output { get; } = Find(model, layer, "self_attn.o_proj.weight");

    public float* QueryBias { get; } = Optional(model, layer, "self_attn.q_proj.bias");

    public float* KeyBias { get; } = Optional(model, layer, "self_attn.k_proj.bias");

    public float* ValueBias { get; } = Optional(model, layer, "self_attn.v_proj.bias");

    public float* OutputBias { get; } = Optional(model, layer, "self_attn.o_proj.bias");

    public float* QueryNorm { get; } = Optional(model, layer, "self_attn.q_norm.weight");

    public float* KeyNorm { get; } = Optional(model, layer, "self_attn.k_norm.weight");

    public float* FeedForwardNorm { get; } = Find(model, layer, "post_attention_layernorm.weight");

    public float* Gate { get; } = Find(model, layer, "mlp.gate_proj.weight");

    public float* Up { get; } = Find(model, layer, "mlp.up_proj.weight");

    public float* Down { get; } = Find(model, layer, "mlp.down_proj.weight");

    public float* GateBias { get; } = Optional(model, layer, "mlp.gate_proj.bias");

    public float* UpBias { get; } = Optional(model, layer, "mlp.up_proj.bias");

    public float* DownBias { get; } = Optional(model, layer, "mlp.down_proj.bias");

    private static float* Find(CausalLm model, int layer, string part) => WeightPointers.Of(model[WeightNames.Layer(layer, part)]);

    private static float* Optional(CausalLm model, int layer, string part) => model.Find(WeightNames.Layer(layer, part)) is { } weight ? WeightPointers.Of(weight) : null;
}
