using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Lora;
using Gradus.Training.Model.Cpu;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// A decoder-only transformer, its parts chosen by the config, with fp32 weights under their Hugging Face names. It knows no loss and no sampling. One thread owns it;
/// the inference engine reads the same weights in place. Tensors it returns belong to the caller's dispose scope.
/// </summary>
public sealed class CausalLm : IDisposable
{
    private readonly Dictionary<string, Tensor> byName = [];
    private readonly List<KeyValuePair<string, Tensor>> weights = [];
    private readonly OrderedDictionary<string, Linear> linears = [];
    private readonly RotaryEmbedding rotary;
    private readonly DecoderBlock[] blocks;
    private readonly RmsNorm norm;
    private KernelLayer[]? kernelLayers;
    private readonly Tensor embedding_VD;

    /// <param name="fill">Makes the tensor of a name and a shape on the CPU.</param>
    private CausalLm(ModelConfig config, string device, Func<string, long[], Tensor> fill)
    {
        Config = config;
        Device = torch.device(device);
        rotary = new RotaryEmbedding(config, Device);
        foreach (var (name, shape) in WeightNames.Of(config)) weights.Add(new(name, Make(name, shape).requires_grad_(true)));
        foreach (var (name, shape) in WeightNames.Fixed(config)) Make(name, shape);
        embedding_VD = byName[WeightNames.Embedding];
        norm = new RmsNorm(byName[WeightNames.FinalNorm], config.NormEpsilon);
        var parts = new DecoderParts(config, byName, Map);
        blocks = [.. Enumerable.Range(0, config.Layers).Select(parts.Block)];
        Head = config.TieEmbeddings ? new Linear(embedding_VD) : Map("lm_head");

        Tensor Make(string name, long[] shape)
        {
            using var scope = NewDisposeScope();
            return byName[name] = fill(name, shape).to(Device).detach().DetachFromDisposeScope();
        }
    }

    public ModelConfig Config { get; }

    public Device Device { get; }

    /// <summary>What is trained, in a fixed order: all weights, or with an adapter its own alone. Leaves with gradient (without in a <see cref="Clone"/>).</summary>
    public IReadOnlyList<KeyValuePair<string, Tensor>> Parameters => Adapter?.Parameters ?? weights;

    /// <summary>
    /// All weights that are trained without an adapter, by their Hugging Face names, in a fixed order. The experts of a layer are one tensor, [experts, out, in], under a
    /// name without their number.
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, Tensor>> Weights => weights;

    /// <summary>The linear maps by module name (<c>model.layers.0.self_attn.q_proj</c>), in a fixed order; the head only where it has weights of its own, routed experts not at all.</summary>
    public IReadOnlyDictionary<string, Linear> Linears => linears;

    /// <summary>The adapter that is laid on, or null.</summary>
    public Adapter? Adapter { get; private set; }

    /// <summary>All weights as they stand in a file: each expert has a view of its own (the caller's scope owns it), and what is not trained is among them.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> Stored => WeightNames.Of(Config).Concat(WeightNames.Fixed(Config)).SelectMany(weight =>
    {
        var parts = WeightNames.Stored(weight.Name, weight.Shape);
        return weight.Shape.Length < 3 ? [new(weight.Name, byName[weight.Name])] : parts.Select((part, i) => KeyValuePair.Create(part, byName[weight.Name].detach().select(0, i)));
    });

    /// <summary>Layers that stood in the file it was loaded from and are no part of it, by name: those that predict further tokens.</summary>
    public IReadOnlyList<string> LeftOut { get; private set; } = [];

    /// <summary>The layers, for whoever computes with their weights in place.</summary>
    public IReadOnlyList<DecoderBlock> Blocks => blocks;

    /// <summary>The map from states to scores of the vocabulary; its weights are the embedding's where the two are tied.</summary>
    public Linear Head { get; }

    public Tensor this[string name] => byName[name];

    /// <summary>A weight by its name, or null where the family has none such.</summary>
    public Tensor? Find(string name) => byName.GetValueOrDefault(name);

    /// <summary>Reads config.json and the safetensors of a folder.</summary>
    /// <exception cref="InvalidInputException">Something is missing, damaged, of another shape, or not supported; the message says what.</exception>
    public static CausalLm Load(string folder, string device = "cpu")
    {
        var config = ModelConfig.Read(folder);
        using var file = new WeightFile(folder, config);
        return new CausalLm(config, device, file.Read) { LeftOut = file.LeftOut };
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
        var deviation = name == WeightNames.Embedding ? .02 : .7 / Math.Sqrt(shape[^1]);
        var random = DerivedRandom.For(seed, "weights/" + name);
        using var rows = tensor.view(-1, shape[^1]);
        for (long row = 0; row < rows.shape[0]; row++)
        {
            using var part = rows.narrow(0, row, 1);
            foreach (ref var weight in MemoryMarshal.Cast<byte, float>(part.bytes)) weight = (float)(deviation * random.NextGaussian());
        }
        return tensor;
    });

    /// <summary>The state after the final norm, [B, T, D].</summary>
    public Tensor Hidden(TokenBatch batch) => Autograd(batch, false).Hidden_BTD;

    /// <summary>A forward pass with its way back, without one under no_grad: by our own kernels where they compute all that the model does, else by autograd.</summary>
    /// <param name="recompute">Whether the way back computes the layers again, for less memory.</param>
    public TrainingPass Pass(TokenBatch batch, bool recompute = false)
    {
        if (!KernelPass.Supports(this)) return Autograd(batch, recompute);
        var (cos, sin) = rotary.Upto(batch.LongestRow);
        kernelLayers ??= [.. blocks.Select(block => new KernelLayer(block, Config))];
        return new KernelPass(this, batch, norm, kernelLayers, new AttentionPlan(Config, batch.Sequence, cos, sin), recompute);
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
    public Tensor Logits(Tensor hidden_ND) => Head.Forward(hidden_ND);

    /// <summary>Lays an adapter on: from now on it is what is trained, and the weights have no gradient. The model owns it.</summary>
    public void Attach(Adapter adapter)
    {
        if (Adapter is not null) throw new InvalidOperationException("The model has an adapter already.");
        Adapter = adapter;
        foreach (var (_, tensor) in weights) tensor.requires_grad = false;
        SetMaps(adapter);
    }

    /// <summary>Until what it returns is disposed, computes with another adapter of the same model, or with none (null): the reference of a run that trains one.</summary>
    public IDisposable With(Adapter? other)
    {
        SetMaps(other);
        return new Restoring(() => SetMaps(Adapter));
    }

    /// <summary>Adds what the adapter adds to the weights, W + scale * BA, and takes it off: a whole model that computes the same.</summary>
    public void MergeAdapter()
    {
        if (Adapter is null) throw new InvalidOperationException("The model has no adapter to merge.");
        using (var noGradient = no_grad())
        {
            foreach (var (name, map) in Adapter.Maps)
            {
                using var scope = NewDisposeScope();
                linears[name].Weight.add_(map.Product());
            }
        }
        SetMaps(null);
        Adapter.Dispose();
        Adapter = null;
        foreach (var (_, tensor) in weights) tensor.requires_grad = true;
    }

    /// <summary>
    /// Writes config.json, generation_config.json and model.safetensors, or with an adapter PEFT's two files; the folder is made, what stands in it under those
    /// names is replaced.
    /// </summary>
    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var (name, write) in Files)
        {
            using var stream = File.Create(Path.Combine(folder, name));
            write(stream);
        }
    }

    /// <summary>A frozen copy: same weights, no gradient.</summary>
    public CausalLm Clone()
    {
        var copy = new CausalLm(Config, Device.ToString(), (name, _) => byName[name].detach().clone());
        foreach (var (_, tensor) in copy.weights) tensor.requires_grad = false;
        return copy;
    }

    public void Dispose()
    {
        foreach (var tensor in byName.Values) tensor.Dispose();
        Adapter?.Dispose();
        rotary.Dispose();
    }

    /// <summary>The files that keep what is trained, and what writes each.</summary>
    internal IReadOnlyList<(string Name, Action<Stream> Write)> Files => Adapter is { } adapter
        ?
        [
            (AdapterConfig.File, stream => ModelFolder.WriteJson(stream, adapter.ToJson(this))),
            (Lora.Adapter.WeightsFile, stream => Safetensors.Write(stream, adapter.Parameters)),
        ]
        :
        [
            ("config.json", stream => ModelFolder.WriteJson(stream, (Config with { Dtype = "float32" }).ToJson())),
            ("generation_config.json", stream => ModelFolder.WriteJson(stream, GenerationConfig())),
            ("model.safetensors", WriteWeights),
        ];

    private void WriteWeights(Stream stream)
    {
        using var scope = NewDisposeScope();
        Safetensors.Write(stream, Stored);
    }

    private JsonElement GenerationConfig()
    {
        var json = new JsonObject { ["do_sample"] = true, ["eos_token_id"] = new JsonArray([.. Config.EndTokens.Select(end => (JsonNode)end)]) };
        if (Config.PadToken is { } pad) json["pad_token_id"] = pad;
        if (Config.BeginToken is { } begin) json["bos_token_id"] = begin;
        return JsonSerializer.SerializeToElement(json);
    }

    internal TrainingPass Autograd(TokenBatch batch, bool recompute)
    {
        var context = Context(batch);
        return new AutogradPass(this, batch, () => Embed(batch.Ids_BT), [.. blocks.Select(block => (Func<Tensor, Tensor>)(x_BTD => block.Forward(x_BTD, context)))], norm.Forward, recompute);
    }

    private int Group => Config.Heads / Config.KeyValueHeads;

    private ForwardContext Context(TokenBatch batch)
    {
        var length = batch.Ids_BT.shape[1];
        var (cos, sin) = batch.PositionsRestart ? rotary.At(batch.Positions_BT, batch.LongestRow) : rotary.Upto(length);
        var mask = batch.Allowed_BTT is { } allowed ? ForwardContext.MaskFrom(allowed, Group) : ForwardContext.Causal(length, Group, Device);
        return new ForwardContext(cos, sin, mask, null);
    }

    // Not index(): its gradient is added up by several threads without an order, and would differ from run to run.
    private Tensor Embed(Tensor ids_BT) => embedding_VD.index_select(0, ids_BT.view(-1)).view(ids_BT.shape[0], ids_BT.shape[1], Config.HiddenSize);

    private Linear Map(string module)
    {
        var map = new Linear(byName[module + ".weight"], byName.GetValueOrDefault(module + ".bias"));
        linears.Add(module, map);
        return map;
    }

    private void SetMaps(Adapter? adapter)
    {
        foreach (var linear in linears.Values) linear.Adapter = null;
        foreach (var (name, map) in adapter?.Maps ?? []) linears[name].Adapter = map;
    }
}
