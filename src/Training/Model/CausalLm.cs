using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// A decoder-only transformer of the Llama family with fp32 weights under their Hugging Face names. It knows no loss and no sampling. One thread owns it;
/// the inference engine reads the same weights in place. Tensors it returns belong to the caller's dispose scope.
/// </summary>
public sealed class CausalLm : IDisposable
{
    private readonly Dictionary<string, Tensor> byName = [];
    private readonly List<KeyValuePair<string, Tensor>> parameters = [];
    private readonly RotaryEmbedding rotary;
    private readonly DecoderBlock[] blocks;
    private readonly RmsNorm norm;
    private readonly Tensor embedding_VD;
    private readonly Linear head;

    /// <param name="fill">Makes the tensor of a name and a shape on the CPU.</param>
    private CausalLm(ModelConfig config, string device, Func<string, long[], Tensor> fill)
    {
        Config = config;
        Device = torch.device(device);
        rotary = new RotaryEmbedding(config, Device);
        foreach (var (name, shape) in WeightNames.Of(config))
        {
            using var scope = NewDisposeScope();
            var weights = fill(name, shape).to(Device).detach().requires_grad_(true).DetachFromDisposeScope();
            byName.Add(name, weights);
            parameters.Add(new(name, weights));
        }
        embedding_VD = byName[WeightNames.Embedding];
        head = new Linear(config.TieEmbeddings ? embedding_VD : byName[WeightNames.Head]);
        norm = Norm(WeightNames.FinalNorm);
        blocks = [.. Enumerable.Range(0, config.Layers).Select(Block)];
    }

    public ModelConfig Config { get; }

    public Device Device { get; }

    /// <summary>All weights by their Hugging Face names, in a fixed order: leaves with gradient (without in a <see cref="Clone"/>).</summary>
    public IReadOnlyList<KeyValuePair<string, Tensor>> Parameters => parameters;

    /// <summary>The layers, for whoever computes with their weights in place.</summary>
    public IReadOnlyList<DecoderBlock> Blocks => blocks;

    public Tensor this[string name] => byName[name];

    /// <summary>Reads config.json and the safetensors of a folder.</summary>
    /// <exception cref="InvalidInputException">Something is missing, damaged, of another shape, or not supported; the message says what.</exception>
    public static CausalLm Load(string folder, string device = "cpu")
    {
        var config = ModelConfig.Read(folder);
        using var file = Safetensors.Open(folder);
        return new CausalLm(config, device, (name, shape) =>
        {
            // Some published files keep the tied embedding under the head's name alone.
            var stored = !file.Contains(name) && name == WeightNames.Embedding && config.TieEmbeddings && file.Contains(WeightNames.Head) ? WeightNames.Head : name;
            var tensor = empty(shape);
            file.CopyTo(stored, tensor);
            return tensor;
        });
    }

    /// <summary>
    /// New weights from a seed, whatever libtorch's generator: norms 1, biases 0, embeddings normal with deviation .02, matrices (the untied head, too) with
    /// .7 over the root of their inputs.
    /// </summary>
    public static CausalLm Create(ModelConfig config, long seed, string device = "cpu") => new(config, device, (name, shape) =>
    {
        if (name.EndsWith("bias", StringComparison.Ordinal)) return zeros(shape);
        if (shape.Length == 1) return ones(shape);
        var tensor = empty(shape);
        var deviation = name == WeightNames.Embedding ? .02 : .7 / Math.Sqrt(shape[1]);
        var random = DerivedRandom.For(seed, "weights/" + name);
        for (long row = 0; row < shape[0]; row++)
        {
            using var part = tensor.narrow(0, row, 1);
            foreach (ref var weight in MemoryMarshal.Cast<byte, float>(part.bytes)) weight = (float)(deviation * random.NextGaussian());
        }
        return tensor;
    });

    /// <summary>The state after the final norm, [B, T, D].</summary>
    public Tensor Hidden(TokenBatch batch) => Pass(batch).Hidden_BTD;

    /// <summary>A forward pass with its way back.</summary>
    /// <param name="recompute">Whether the way back computes the layers again, for less memory.</param>
    public TrainingPass Pass(TokenBatch batch, bool recompute = false)
    {
        var context = Context(batch);
        return new(() => Embed(batch.Ids_BT), [.. blocks.Select(block => (Func<Tensor, Tensor>)(x_BTD => block.Forward(x_BTD, context)))], norm.Forward, recompute);
    }

    /// <summary>The embeddings, then the state after each layer; the last one after the final norm, as transformers gives them. [B, T, D] each.</summary>
    public IReadOnlyList<Tensor> HiddenStates(TokenBatch batch)
    {
        var context = Context(batch);
        var states = new List<Tensor> { Embed(batch.Ids_BT) };
        foreach (var block in blocks) states.Add(block.Forward(states[^1], context));
        states[^1] = norm.Forward(states[^1]);
        return states;
    }

    /// <summary>The state after the final norm of new tokens, whose keys and values go into the cache beside those of the tokens before. [B, T, D].</summary>
    /// <param name="ids_BT">The new tokens, padded on the right to the longest of the append.</param>
    public Tensor Hidden(Tensor ids_BT, KvCacheAppend append)
    {
        var (cos, sin) = rotary.At(append.Positions_BT, append.Length);
        var mask = append.Allowed_BTS is { } allowed ? ForwardContext.MaskFrom(allowed, Group) : null;
        var context = new ForwardContext(cos, sin, mask, append);
        var x_BTD = Embed(ids_BT);
        foreach (var block in blocks) x_BTD = block.Forward(x_BTD, context);
        append.Commit();
        return norm.Forward(x_BTD);
    }

    /// <summary>Scores of every token of the vocabulary for each state, [N, V].</summary>
    public Tensor Logits(Tensor hidden_ND) => head.Forward(hidden_ND);

    /// <summary>Writes config.json, generation_config.json and model.safetensors; the folder is made, what stands in it under those names is replaced.</summary>
    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        ModelFolder.WriteJson(Path.Combine(folder, "config.json"), Config.ToJson());
        ModelFolder.WriteJson(Path.Combine(folder, "generation_config.json"), GenerationConfig());
        Safetensors.Write(Path.Combine(folder, "model.safetensors"), parameters);
    }

    /// <summary>A frozen copy: same weights, no gradient.</summary>
    public CausalLm Clone()
    {
        var copy = new CausalLm(Config, Device.ToString(), (name, _) => byName[name].detach().clone());
        foreach (var (_, tensor) in copy.parameters) tensor.requires_grad = false;
        return copy;
    }

    public void Dispose()
    {
        foreach (var (_, tensor) in parameters) tensor.Dispose();
        rotary.Dispose();
    }

    internal JsonElement GenerationConfig()
    {
        var json = new JsonObject { ["do_sample"] = true, ["eos_token_id"] = new JsonArray([.. Config.EndTokens.Select(end => (JsonNode)end)]) };
        if (Config.PadToken is { } pad) json["pad_token_id"] = pad;
        if (Config.BeginToken is { } begin) json["bos_token_id"] = begin;
        return JsonSerializer.SerializeToElement(json);
    }

    private int Group => Config.Heads / Config.KeyValueHeads;

    private ForwardContext Context(TokenBatch batch)
    {
        var length = batch.Ids_BT.shape[1];
        var (cos, sin) = batch.PositionsRestart ? rotary.At(batch.Positions_BT, length) : rotary.Upto(length);
        var mask = batch.Allowed_BTT is { } allowed ? ForwardContext.MaskFrom(allowed, Group) : ForwardContext.Causal(length, Group, Device);
        return new ForwardContext(cos, sin, mask, null);
    }

    // Not index(): its gradient is added up by several threads without an order, and would differ from run to run.
    private Tensor Embed(Tensor ids_BT) => embedding_VD.index_select(0, ids_BT.view(-1)).view(ids_BT.shape[0], ids_BT.shape[1], Config.HiddenSize);

    private DecoderBlock Block(int layer)
    {
        Linear Map(string part) => new(byName[WeightNames.Layer(layer, part + ".weight")], byName.GetValueOrDefault(WeightNames.Layer(layer, part + ".bias")));
        var attention = new AttentionWeights(Map("self_attn.q_proj"), Map("self_attn.k_proj"), Map("self_attn.v_proj"), Map("self_attn.o_proj"));
        return new DecoderBlock(
            Norm(WeightNames.Layer(layer, "input_layernorm.weight")), new Attention(Config, layer, attention),
            Norm(WeightNames.Layer(layer, "post_attention_layernorm.weight")),
            new FeedForward(Map("mlp.gate_proj"), Map("mlp.up_proj"), Map("mlp.down_proj")));
    }

    private RmsNorm Norm(string name) => new(byName[name], Config.NormEpsilon);
}
