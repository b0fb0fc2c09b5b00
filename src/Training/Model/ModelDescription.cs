using System.Text.Json;
using System.Text.Json.Serialization;
using Gradus.Training.Lora;

namespace Gradus.Training.Model;

/// <summary>What can be said of a model's folder without loading a weight: what the catalog keeps of each model. Null is unknown.</summary>
/// <param name="Family">config.json's <c>model_type</c>: llama, qwen2, ...</param>
/// <param name="Parameters">Number of weights.</param>
/// <param name="ContextLength">Positions the model was made for, in tokens.</param>
/// <param name="Dtype">How the weights are stored: <c>float32</c>, <c>float16</c>, <c>bfloat16</c>, or <c>mixed</c>.</param>
/// <param name="Bytes">All files of the folder, in bytes.</param>
/// <param name="ChatTemplate">The file that holds the chat template; null where there is none, and the model cannot chat.</param>
/// <param name="License">As the model's card, its licence file or its GGUF names it: <c>apache-2.0</c>.</param>
public sealed record ModelDescription(
    string? Family, long? Parameters, int? ContextLength, int? VocabularySize, string? Dtype, long Bytes, string? ChatTemplate, string? License)
{
    private static readonly JsonSerializerOptions names = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.Never };

    /// <exception cref="InvalidInputException">config.json or the weights' headers cannot be used.</exception>
    public static ModelDescription Read(string folder) => Read(new StoredModel(folder, null));

    /// <summary>Of an adapter: parameters are those of its base and its own; dtype and bytes are its own.</summary>
    /// <exception cref="InvalidInputException">A config or the weights' headers cannot be used.</exception>
    public static ModelDescription Read(StoredModel stored)
    {
        var config = stored.Config();
        using var weights = Safetensors.Open(stored.IsAdapter ? Path.Combine(stored.Folder, Adapter.WeightsFile) : stored.Folder);
        var parameters = config.ParameterCount + (stored.IsAdapter ? weights.Names.Sum(name => weights.Shape(name).Aggregate(1L, (product, size) => checked(product * size))) : 0);
        return new(
            config.ModelType, parameters, config.MaxPositions, config.VocabularySize, DtypeOf(weights), SizeOf(stored.Folder), Text.ChatTemplate.FileOf(stored.TextFolder),
            ModelLicense.Of(stored.Folder) ?? (stored.IsAdapter ? ModelLicense.Of(stored.WeightsFolder) : null));
    }

    public JsonElement ToJson() => JsonSerializer.SerializeToElement(this, names);

    private static string DtypeOf(Safetensors weights) => weights.Names.Select(weights.TypeOf).Distinct().ToArray() switch
    {
        ["F32"] => "float32",
        ["F16"] => "float16",
        ["BF16"] => "bfloat16",
        _ => "mixed",
    };

    private static long SizeOf(string folder) => new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
}
