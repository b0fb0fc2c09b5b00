using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// A folder's weights against what its config asks for. A tensor that nothing would compute with is refused: it is a part that the config did not tell of (a bias, another norm),
/// and a model without it would answer, wrongly. Left out are tables that old transformers stored, the head where it is the embedding, and the layers that
/// predict further tokens in training (num_nextn_predict_layers, DeepSeek-V3's section 2.2), which its own inference leaves out as well.
/// </summary>
internal sealed class WeightFile : IDisposable
{
    private readonly ModelConfig config;
    private readonly Safetensors file;

    /// <exception cref="InvalidInputException">A file is missing or damaged, or holds what the model has no place for.</exception>
    public WeightFile(string folder, ModelConfig config)
    {
        this.config = config;
        file = Safetensors.Open(folder);
        try
        {
            var known = WeightNames.Of(config).Concat(WeightNames.Fixed(config)).SelectMany(weight => WeightNames.Stored(weight.Name, weight.Shape)).ToHashSet();
            var rest = file.Names.Where(name => !known.Contains(name) && !name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) && !(name == WeightNames.Head && config.TieEmbeddings)).ToList();
            LeftOut = [.. Enumerable.Range(config.Layers, config.NextTokenLayers).Select(layer => $"model.layers.{layer}").Where(layer => rest.RemoveAll(name => name.StartsWith(layer + ".", StringComparison.Ordinal)) > 0)];
            if (rest.Count > 0)
            {
                throw new InvalidInputException($"The weights hold {string.Join(", ", rest.Take(3).Select(name => $"'{name}'"))}{(rest.Count > 3 ? $" and {rest.Count - 3} more" : "")}, which a {config.ModelType} model with this config.json does not have.", "model.safetensors", "unknown_value");
            }
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Layers that stand in the file and not in the model, by name.</summary>
    public IReadOnlyList<string> LeftOut { get; }

    /// <summary>A tensor of the model, fp32 on the CPU; experts, each on its own in the file, become one.</summary>
    public Tensor Read(string name, long[] shape)
    {
        // Some published files keep the tied embedding under the head's name alone.
        if (!file.Contains(name) && name == WeightNames.Embedding && config.TieEmbeddings && file.Contains(WeightNames.Head)) name = WeightNames.Head;
        // A config may ask for more than there is: what the file holds bounds what is taken.
        var parts = WeightNames.Stored(name, shape);
        foreach (var part in parts) file.Expect(part, shape.Length < 3 ? shape : shape.AsSpan(1));
        var tensor = empty(shape);
        if (shape.Length < 3) file.CopyTo(name, tensor);
        else
        {
            for (var part = 0; part < parts.Count; part++)
            {
                using var expert = tensor.select(0, part);
                file.CopyTo(parts[part], expert);
            }
        }
        return tensor;
    }

    public void Dispose() => file.Dispose();
}
