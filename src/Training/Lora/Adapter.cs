using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Lora;

/// <summary>
/// The adapter of one model: a <see cref="LowRank"/> for each linear map that it is laid on, and its folder, which is PEFT's. It owns its tensors;
/// <see cref="CausalLm.Attach"/> lays it on.
/// </summary>
public sealed class Adapter : IDisposable
{
    /// <summary>The file of the weights.</summary>
    public const string WeightsFile = "adapter_model.safetensors";

    private const string Prefix = "base_model.model.", SuffixA = ".lora_A.weight", SuffixB = ".lora_B.weight";

    private Adapter(AdapterConfig config, string parent, IReadOnlyList<KeyValuePair<string, LowRank>> maps)
    {
        (Config, Parent, Maps) = (config, parent, maps);
        Parameters = [.. maps.SelectMany(map => new KeyValuePair<string, Tensor>[] { new(Prefix + map.Key + SuffixA, map.Value.A), new(Prefix + map.Key + SuffixB, map.Value.B) })];
    }

    public AdapterConfig Config { get; }

    /// <summary>The id of the model that it is laid on.</summary>
    public string Parent { get; }

    /// <summary>By the names of the linear maps, in the model's order.</summary>
    public IReadOnlyList<KeyValuePair<string, LowRank>> Maps { get; }

    /// <summary>All A and B under PEFT's names, in the model's order: leaves with gradient (without in a <see cref="Clone"/>).</summary>
    public IReadOnlyList<KeyValuePair<string, Tensor>> Parameters { get; }

    /// <summary>A new one, which changes nothing yet, since B is zero; A is drawn from the seed alone.</summary>
    /// <param name="parent">The id of the model.</param>
    public static Adapter Create(AdapterOptions options, CausalLm model, string parent, long seed)
    {
        var chosen = options.Targets.Choose([.. model.Linears.Keys], options.Path);
        return new(options.Config, parent, [.. chosen.Select(module =>
        {
            using var scope = NewDisposeScope();
            var shape = model.Linears[module].Weight.shape;
            var rank = options.Config.RankOf(module);
            var a_RI = empty([rank, shape[1]]);
            var random = DerivedRandom.For(seed, "adapter/" + module);
            // kaiming_uniform_ with a = sqrt(5), as PyTorch begins every linear map, is uniform within 1 / sqrt(inputs).
            var bound = 1 / Math.Sqrt(shape[1]);
            foreach (ref var weight in MemoryMarshal.Cast<byte, float>(a_RI.bytes))
                weight = (float)(options.Gaussian ? random.NextGaussian() / rank : ((2 * random.NextDouble()) - 1) * bound);
            return KeyValuePair.Create(module, new LowRank(Leaf(a_RI, model), Leaf(zeros([shape[0], rank]), model), options.Config.ScaleOf(module)));
        })]);
    }

    /// <summary>Whether a folder holds an adapter and not a whole model.</summary>
    public static bool IsIn(string folder) => File.Exists(Path.Combine(folder, AdapterConfig.File));

    /// <summary>The id of the model that a folder's adapter is laid on.</summary>
    /// <exception cref="InvalidInputException">The folder's adapter_config.json is missing, damaged, or names none.</exception>
    public static string ParentOf(string folder) => AdapterConfig.BaseOf(ModelFolder.ReadJson(Path.Combine(folder, AdapterConfig.File)));

    /// <summary>Writes into a folder's adapter_config.json which model it is laid on.</summary>
    public static void SetParent(string folder, string id)
    {
        var file = Path.Combine(folder, AdapterConfig.File);
        var json = JsonObject.Create(ModelFolder.ReadJson(file))!;
        json["base_model_name_or_path"] = id;
        ModelFolder.WriteJson(file, JsonSerializer.SerializeToElement(json));
    }

    /// <summary>Reads PEFT's folder for a model of the same shapes.</summary>
    /// <exception cref="InvalidInputException">Something is missing, damaged, of another shape, or not supported; the message says what.</exception>
    public static Adapter Load(string folder, CausalLm model)
    {
        var json = ModelFolder.ReadJson(Path.Combine(folder, AdapterConfig.File));
        var config = AdapterConfig.Parse(json);
        using var file = Safetensors.Open(Path.Combine(folder, WeightsFile));
        string[] modules = [.. model.Linears.Keys.Where(module => file.Contains(Prefix + module + SuffixA) || file.Contains(Prefix + module + SuffixB))];
        var known = modules.SelectMany(module => new[] { Prefix + module + SuffixA, Prefix + module + SuffixB }).ToHashSet();
        if (file.Names.FirstOrDefault(name => !known.Contains(name)) is { } other)
            throw new InvalidInputException($"{WeightsFile} holds '{other}', which is neither the A nor the B of a linear map of the model.", WeightsFile, "unknown_value");
        if (modules.Length == 0) throw new InvalidInputException($"{WeightsFile} holds nothing.", WeightsFile, "missing");
        var read = new List<KeyValuePair<string, LowRank>>();
        try
        {
            foreach (var module in modules)
            {
                using var scope = NewDisposeScope();
                var (shape, rank) = (model.Linears[module].Weight.shape, config.RankOf(module));
                Tensor a_RI = empty([rank, shape[1]]), b_OR = empty([shape[0], rank]);
                file.CopyTo(Prefix + module + SuffixA, a_RI);
                file.CopyTo(Prefix + module + SuffixB, b_OR);
                read.Add(new(module, new LowRank(Leaf(a_RI, model), Leaf(b_OR, model), config.ScaleOf(module))));
            }
        }
        catch
        {
            foreach (var (_, map) in read) map.Dispose();
            throw;
        }
        return new(config, AdapterConfig.BaseOf(json), read);
    }

    /// <summary>A frozen copy.</summary>
    public Adapter Clone() => new(Config, Parent, [.. Maps.Select(map => KeyValuePair.Create(map.Key, map.Value.Clone()))]);

    /// <summary>Until what it returns is disposed, inputs are dropped as lora_dropout says, by draws of (seed, step, micro-batch, map) alone.</summary>
    public IDisposable Drop(long seed, int step, int microBatch)
    {
        if (Config.Dropout > 0)
        {
            for (var i = 0; i < Maps.Count; i++)
                Maps[i].Value.Dropout = (Config.Dropout, DerivedRandom.Key(seed, "adapter dropout", step, ((long)microBatch * Maps.Count) + i));
        }
        return new Restoring(() =>
        {
            foreach (var (_, map) in Maps) map.Dropout = null;
        });
    }

    /// <param name="model">The model that it is laid on.</param>
    internal JsonElement ToJson(CausalLm model) => Config.ToJson(Parent, [.. Maps.Select(map => map.Key)], [.. model.Linears.Keys]);

    public void Dispose()
    {
        foreach (var (_, map) in Maps) map.Dispose();
    }

    private static Tensor Leaf(Tensor values, CausalLm model) => values.to(model.Device).detach().requires_grad_(true).DetachFromDisposeScope();
}
