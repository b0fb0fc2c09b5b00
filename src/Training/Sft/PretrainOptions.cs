using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;
using Gradus.Training.Stages;

namespace Gradus.Training.Sft;

/// <summary><c>pretrain</c>: trains from nothing. The weights are drawn by the job's seed, the rows are those of sft.</summary>
public sealed record PretrainOptions : StageOptions
{
    public override Artifact Makes => Artifact.Model;

    /// <summary><c>model</c>: whose config.json and tokenizer are taken; its weights are not read.</summary>
    public required StageReference Model { get; init; }

    /// <summary><c>config</c>: fields of config.json that replace the model's own (<c>{"hidden_size":64,"num_hidden_layers":2}</c>); default none.</summary>
    public required JsonElement? Config { get; init; }

    public required DatasetOptions Data { get; init; }

    public required SupervisedOptions Supervised { get; init; }

    public required LoopOptions Loop { get; init; }

    /// <summary>The configuration that is trained: the model's own with the changes of <c>config</c>.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="InvalidInputException">A change names a field that the model's config.json does not have, or the whole cannot be built.</exception>
    public ModelConfig ConfigOf(string folder)
    {
        var path = Model.Path[..^"model".Length] + "config";
        var config = JsonSerializer.SerializeToNode(ModelFolder.ReadJson(System.IO.Path.Combine(folder, "config.json")))!.AsObject();
        foreach (var field in Config?.EnumerateObject() ?? default)
        {
            if (!config.ContainsKey(field.Name))
                throw new InvalidInputException($"'{path}.{field.Name}' is not a field of the model's config.json, which has {string.Join(", ", config.Select(known => known.Key))}.", $"{path}.{field.Name}", "unknown_field");
            config[field.Name] = JsonSerializer.SerializeToNode(field.Value);
        }
        try
        {
            return ModelConfig.Parse(JsonSerializer.SerializeToElement<JsonNode>(config));
        }
        catch (InvalidInputException wrong) when (Config is not null)
        {
            throw new InvalidInputException($"'{path}': {wrong.Message}", $"{path}.{wrong.Parameter}", wrong.Code);
        }
    }

    internal static PretrainOptions Read(OptionReader reader)
    {
        var config = reader.Element("config");
        if (config is { ValueKind: not JsonValueKind.Object } other)
            throw OptionReader.Invalid(reader.At("config"), $"'{reader.At("config")}' must be an object, not {OptionReader.Shown(other)}.");
        return new()
        {
            Model = reader.Reference("model", Artifact.Model),
            Config = config,
            Data = DatasetOptions.Read(reader),
            Supervised = SupervisedOptions.Read(reader),
            Loop = LoopOptions.Read(reader, learningRate: 2e-5, scheduler: "linear"),
        };
    }
}
