using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Stages;

namespace Gradus.Training.Lora;

/// <summary>
/// The numbers of an adapter under PEFT's names. Of PEFT's other fields those that change what is computed are refused by name where they are set; what an
/// adapter is laid on follows from the weights in its file.
/// </summary>
/// <param name="Rank"><c>r</c>: columns of B and rows of A, 1 to 4,096; default 8 (PEFT's).</param>
/// <param name="Alpha"><c>lora_alpha</c>: the scale is lora_alpha / r, 0.001 to 100,000; default 8 (PEFT's).</param>
/// <param name="Dropout"><c>lora_dropout</c>: the probability with which an input of A is dropped in sft, 0 to 0.95; default 0 (PEFT's). Off in grpo, as TRL turns it off there.</param>
/// <param name="RsLora"><c>use_rslora</c>: the scale is lora_alpha / sqrt(r) (Kalajdzievski 2023); default false (PEFT's).</param>
/// <param name="RankPattern"><c>rank_pattern</c>: ranks of maps whose name ends with a key, at most 256; the first that fits counts. Default none.</param>
/// <param name="AlphaPattern"><c>alpha_pattern</c>: the same for lora_alpha.</param>
public sealed record AdapterConfig(
    int Rank, double Alpha, double Dropout, bool RsLora, IReadOnlyList<KeyValuePair<string, double>> RankPattern, IReadOnlyList<KeyValuePair<string, double>> AlphaPattern)
{
    public const string File = "adapter_config.json";

    private const int MostPatterns = 256, HighestRank = 4096;

    /// <summary>Fields of PEFT that say where the adapter came from or what it is laid on, and mean nothing once its weights are there.</summary>
    private static readonly HashSet<string> told =
    [
        "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "runtime_config", "megatron_core", "qalora_group_size",
        "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "eva_config", "ensure_weight_tying",
    ];

    /// <summary>The rank of a map.</summary>
    public int RankOf(string module) => (int)Of(RankPattern, module, Rank);

    /// <summary>What B(A(x)) of a map is multiplied by.</summary>
    public double ScaleOf(string module)
    {
        var (alpha, rank) = (Of(AlphaPattern, module, Alpha), RankOf(module));
        return RsLora ? alpha / Math.Sqrt(rank) : alpha / rank;
    }

    /// <summary>Whether a name stands for a map: the map's own, or its end after a dot.</summary>
    public static bool Fits(string name, string module) => module == name || module.EndsWith("." + name, StringComparison.Ordinal);

    /// <summary>Reads PEFT's adapter_config.json.</summary>
    /// <exception cref="InvalidInputException">It is no LoRA, or says something that would compute something else.</exception>
    public static AdapterConfig Parse(JsonElement json)
    {
        var reader = new OptionReader(json, File);
        _ = reader.Choice("peft_type", null, "LORA");
        var config = Read(reader);
        RefuseKinds(reader, json.EnumerateObject().Select(field => field.Name).Where(name => !told.Contains(name)).Except(reader.Known));
        return config;
    }

    /// <summary>The id of the model that an adapter is laid on, as its adapter_config.json has it.</summary>
    /// <exception cref="InvalidInputException">It has none.</exception>
    public static string BaseOf(JsonElement json) => new OptionReader(json, File).Text("base_model_name_or_path", null, 4096);

    /// <param name="modules">The maps that the adapter is laid on.</param>
    /// <param name="all">Those there are in the model.</param>
    internal JsonElement ToJson(string parent, IReadOnlyList<string> modules, IReadOnlyList<string> all)
    {
        var json = new JsonObject
        {
            ["peft_type"] = "LORA", ["task_type"] = "CAUSAL_LM", ["base_model_name_or_path"] = parent, ["inference_mode"] = true, ["r"] = Rank, ["lora_alpha"] = Alpha,
            ["lora_dropout"] = Dropout, ["use_rslora"] = RsLora, ["bias"] = "none", ["fan_in_fan_out"] = false, ["init_lora_weights"] = true, ["modules_to_save"] = null,
            ["target_modules"] = new JsonArray([.. Targets(modules, all).Select(name => (JsonNode)name)]),
            ["rank_pattern"] = new JsonObject(RankPattern.Select(pattern => KeyValuePair.Create(pattern.Key, (JsonNode?)(int)pattern.Value))),
            ["alpha_pattern"] = new JsonObject(AlphaPattern.Select(pattern => KeyValuePair.Create(pattern.Key, (JsonNode?)pattern.Value))),
        };
        return JsonSerializer.SerializeToElement(json);
    }

    internal static AdapterConfig Read(OptionReader reader)
    {
        _ = reader.Choice("bias", "none", "none");
        return new(
            reader.Integer("r", 8, 1, HighestRank), reader.Number("lora_alpha", 8, 1e-3, 1e5), reader.Number("lora_dropout", 0, 0, 0.95), reader.Flag("use_rslora", false),
            Pattern(reader, "rank_pattern", (values, name) => values.Integer(name, null, 1, HighestRank)), Pattern(reader, "alpha_pattern", (values, name) => values.Number(name, null, 1e-3, 1e5)));
    }

    /// <summary>Refuses fields that ask for another kind of adapter: those given that are not at rest (null, false or empty).</summary>
    internal static void RefuseKinds(OptionReader reader, IEnumerable<string> names)
    {
        // PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA change the base's weights when they begin: what they train is no addition to the base as it is.
        if (reader.Element("init_lora_weights") is { ValueKind: not (JsonValueKind.True or JsonValueKind.False) } init && init.ToString() is not ("gaussian" or "eva" or "orthogonal"))
            throw new InvalidInputException($"'{reader.At("init_lora_weights")}' {OptionReader.Shown(init)} changes the base's own weights, which is not supported.", reader.At("init_lora_weights"), "unknown_value");
        foreach (var name in names)
        {
            if (reader.Element(name) is not { } value || IsAtRest(value)) continue;
            throw new InvalidInputException(
                $"'{reader.At(name)}' is {OptionReader.Shown(value)}: an adapter of that kind is not supported. Plain LoRA is, with rsLoRA's scale and patterns of ranks and alphas.", reader.At(name), "unknown_field");
        }
    }

    private static bool IsAtRest(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.False => true,
        JsonValueKind.String => value.GetString()!.Length == 0,
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().MoveNext(),
        _ => false,
    };

    /// <summary>The shortest names that stand for these maps and no other: the last part where all maps of that name are meant, else the whole.</summary>
    private static IEnumerable<string> Targets(IReadOnlyList<string> modules, IReadOnlyList<string> all)
    {
        var chosen = modules.ToHashSet();
        var whole = all.GroupBy(Last).Where(group => group.All(chosen.Contains)).Select(group => group.Key).ToHashSet();
        return modules.Select(module => whole.Contains(Last(module)) ? Last(module) : module).Distinct();

        static string Last(string module) => module[(module.LastIndexOf('.') + 1)..];
    }

    private static double Of(IReadOnlyList<KeyValuePair<string, double>> patterns, string module, double otherwise)
    {
        foreach (var (name, value) in patterns) if (Fits(name, module)) return value;
        return otherwise;
    }

    private static IReadOnlyList<KeyValuePair<string, double>> Pattern(OptionReader reader, string field, Func<OptionReader, string, double> value)
    {
        if (reader.Element(field) is not { } json) return [];
        var values = reader.Inside(json, reader.At(field));
        var names = json.EnumerateObject().Select(pattern => pattern.Name).ToArray();
        if (names.Length > MostPatterns) throw OptionReader.Invalid(reader.At(field), $"'{reader.At(field)}' has {names.Length} names; at most {MostPatterns} are allowed.", "out_of_range");
        foreach (var name in names)
        {
            // PEFT takes them for regular expressions; a name is one that fits itself.
            if (!AdapterTargets.IsName(name)) throw OptionReader.Invalid(values.At(name), $"'{reader.At(field)}' has the key '{name}': only names of maps or their ends are supported, not regular expressions.");
        }
        return [.. names.Select(name => KeyValuePair.Create(name, value(values, name)))];
    }
}
