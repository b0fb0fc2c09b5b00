using System.Text.Json;
using Gradus.Training.Model;
using Gradus.Training.Stages;

namespace Gradus.Training.Lora;

/// <summary>
/// <c>adapter</c> of sft and grpo: a new LoRA adapter (Hu et al. 2021) is trained on a base whose own weights stay as they are. Names and defaults are PEFT's
/// LoraConfig's. Where <c>model</c> is an adapter already, that one is trained further and <c>adapter</c> is left out.
/// </summary>
/// <param name="Path">Where it stands in the request, for messages.</param>
/// <param name="Gaussian"><c>init_lora_weights</c>: true (A uniform, as PyTorch begins a linear map; B zero) or gaussian (A normal with deviation 1 / r; B zero); default true.</param>
public sealed record AdapterOptions(string Path, AdapterConfig Config, AdapterTargets Targets, bool Gaussian)
{
    /// <summary>PEFT's fields for adapters that compute something else: refused by name where they are set.</summary>
    private static readonly string[] otherKinds =
    [
        "use_dora", "use_qalora", "use_bdlora", "lora_bias", "fan_in_fan_out", "modules_to_save", "trainable_token_indices", "layer_replication", "target_parameters",
        "alora_invocation_tokens", "loftq_config", "corda_config", "eva_config", "lora_ga_config", "arrow_config", "kasa_config", "monteclora_config", "velora_config", "megatron_config",
    ];

    /// <exception cref="InvalidInputException">The model is an adapter already.</exception>
    public void Require(StoredModel stored, string id)
    {
        if (stored.IsAdapter)
            throw new InvalidInputException($"'{Path}' asks for a new adapter, but the model {id} is an adapter: leave '{Path}' out to train that one further, or begin from a merged export of it.", Path, "invalid_value");
    }

    /// <summary>Null where the stage trains the model whole, or the adapter that it is.</summary>
    internal static AdapterOptions? Read(OptionReader reader)
    {
        if (reader.Element("adapter") is not { } json) return null;
        var fields = reader.Inside(json, reader.At("adapter"));
        var (config, targets) = (AdapterConfig.Read(fields), AdapterTargets.Read(fields));
        if (fields.Element("init_lora_weights") is { } init && init.ValueKind != JsonValueKind.True && init.ToString() != "gaussian")
            throw new InvalidInputException($"'{fields.At("init_lora_weights")}' must be true or \"gaussian\", not {OptionReader.Shown(init)}.", fields.At("init_lora_weights"), "unknown_value");
        AdapterConfig.RefuseKinds(fields, otherKinds);
        fields.RefuseUnknown();
        return new(fields.Path, config, targets, fields.Element("init_lora_weights") is { ValueKind: JsonValueKind.String });
    }
}
