using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>Puts a model's layers together from its weights, each from the parts that the config chooses.</summary>
/// <param name="map">Makes the linear map of a module's name.</param>
internal sealed class DecoderParts(ModelConfig config, IReadOnlyDictionary<string, Tensor> weights, Func<string, Linear> map)
{
    /// <summary>transformers gives the norms within latent attention its default, whatever the config says.</summary>
    private const double InnerEpsilon = 1e-6;

    public DecoderBlock Block(int layer)
    {
        IAttention attention = config.Latent is { } latent ? Latent(layer, latent) : GroupedQueries(layer);
        IFeedForward feedForward = config.HasExperts(layer) ? Experts(layer, config.Experts!) : Gated(layer, "mlp");
        return new DecoderBlock(Norm(layer, "input_layernorm", config.NormEpsilon), attention, Norm(layer, "post_attention_layernorm", config.NormEpsilon), feedForward);
    }

    private Attention GroupedQueries(int layer)
    {
        RmsNorm? HeadNorm(string part) => config.QueryKeyNorm ? Norm(layer, part, config.NormEpsilon) : null;
        return new Attention(config, layer, new AttentionWeights(
            Map(layer, "self_attn.q_proj"), Map(layer, "self_attn.k_proj"), Map(layer, "self_attn.v_proj"), Map(layer, "self_attn.o_proj"),
            HeadNorm("self_attn.q_norm"), HeadNorm("self_attn.k_norm")));
    }

    private LatentAttention Latent(int layer, LatentShape shape)
    {
        var squeezed = shape.QueryRank is not null;
        return new LatentAttention(config, shape, layer, new LatentWeights(
            squeezed ? Map(layer, "self_attn.q_a_proj") : null, squeezed ? Norm(layer, "self_attn.q_a_layernorm", InnerEpsilon) : null,
            Map(layer, squeezed ? "self_attn.q_b_proj" : "self_attn.q_proj"), Map(layer, "self_attn.kv_a_proj_with_mqa"), Norm(layer, "self_attn.kv_a_layernorm", InnerEpsilon),
            Map(layer, "self_attn.kv_b_proj"), Map(layer, "self_attn.o_proj")));
    }

    private ExpertFeedForward Experts(int layer, ExpertShape shape)
    {
        var router = new ExpertRouter(shape, Weight(layer, "mlp.gate.weight"), Weight(layer, WeightNames.Correction));
        return new ExpertFeedForward(
            shape, router, Weight(layer, "mlp.experts.gate_proj.weight"), Weight(layer, "mlp.experts.up_proj.weight"), Weight(layer, "mlp.experts.down_proj.weight"), Gated(layer, "mlp.shared_experts"));
    }

    private FeedForward Gated(int layer, string name) => new(Map(layer, name + ".gate_proj"), Map(layer, name + ".up_proj"), Map(layer, name + ".down_proj"));

    private Linear Map(int layer, string part) => map(WeightNames.Layer(layer, part));

    private RmsNorm Norm(int layer, string part, double epsilon) => new(Weight(layer, part + ".weight"), epsilon);

    private Tensor Weight(int layer, string part) => weights[WeightNames.Layer(layer, part)];
}
