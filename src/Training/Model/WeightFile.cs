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
            // One after the other, so that a config that asks for more than the files hold ends at the first that is missing, before memory is taken for any.
            var known = new HashSet<string>();
            foreach (var (name, shape) in WeightNames.Of(config).Concat(WeightNames.Fixed(config)))
            {
                foreach (var part in WeightNames.Stored(name, shape))
                {
                    file.Require(Stored(part), shape.Length < 3 ? shape : shape[1..]);
                    known.Add(part);
                }
            }
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
        var tensor = empty(shape);
        var parts = WeightNames.Stored(name, shape);
        if (shape.Length < 3) file.CopyTo(Stored(name), tensor);
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

    /// <summary>Some published files keep the tied embedding under the head's name alone.</summary>
    private string Stored(string name) => name == WeightNames.Embedding && config.TieEmbeddings && !file.Contains(name) && file.Contains(WeightNames.Head) ? WeightNames.Head : name;
}
