using System.Text.Json;
using System.Text.RegularExpressions;
using Gradus.Training.Stages;

namespace Gradus.Training.Lora;

/// <summary>Which of a model's linear maps get an adapter, as PEFT says it.</summary>
/// <param name="Names">
/// <c>target_modules</c>: names of maps or their ends, 1 to 1,024, or <c>all-linear</c> (null here: all but the head), or one of the patterns
/// <c>.*NAME</c> and <c>.*\.(NAME|NAME)</c>; other regular expressions are refused. Default q_proj and v_proj (PEFT's for these families).
/// </param>
/// <param name="Exclude"><c>exclude_modules</c>: names that are left out, at most 1,024; default none.</param>
/// <param name="Layers"><c>layers_to_transform</c>: the layers that get one, a number or a list, from 0; default all.</param>
public sealed partial record AdapterTargets(IReadOnlyList<string>? Names, IReadOnlyList<string> Exclude, IReadOnlyList<int>? Layers)
{
    private const int Most = 1024;

    internal static AdapterTargets Read(OptionReader reader)
    {
        IReadOnlyList<string>? names = ["q_proj", "v_proj"];
        if (reader.Element("target_modules") is { ValueKind: JsonValueKind.String })
        {
            var text = reader.Text("target_modules", null, 4096);
            names = text == "all-linear" ? null : NamesOf(text) ?? throw OptionReader.Invalid(
                reader.At("target_modules"), $"'{reader.At("target_modules")}' must be a list of names, \"all-linear\", or a pattern like \".*\\\\.(q_proj|v_proj)\"; other regular expressions are not supported: \"{text}\".");
        }
        else if (reader.Has("target_modules")) names = List(reader, "target_modules");
        if (names is { Count: 0 }) throw OptionReader.Invalid(reader.At("target_modules"), $"'{reader.At("target_modules")}' names no map.");
        IReadOnlyList<int>? layers = null;
        if (reader.Element("layers_to_transform") is { ValueKind: JsonValueKind.Number }) layers = [reader.Integer("layers_to_transform", null, 0, 10_000)];
        else if (reader.Has("layers_to_transform")) layers = [.. reader.Items("layers_to_transform", Most).Select(item => OptionReader.IntegerOf(item.Value, item.Path, 0, 10_000))];
        return new(names, List(reader, "exclude_modules"), layers);
    }

    /// <summary>The maps meant, in the model's order.</summary>
    /// <param name="modules">All linear maps of the model by name (<c>model.layers.0.self_attn.q_proj</c>).</param>
    /// <param name="path">Where the adapter stands in the request, for messages.</param>
    /// <exception cref="InvalidInputException">A name fits none of the maps, or nothing is left.</exception>
    public IReadOnlyList<string> Choose(IReadOnlyList<string> modules, string path)
    {
        foreach (var name in Names ?? [])
        {
            if (modules.Any(module => AdapterConfig.Fits(name, module))) continue;
            var ends = modules.Select(module => module[(module.LastIndexOf('.') + 1)..]).Distinct();
            throw new InvalidInputException($"'{path}.target_modules' names '{name}', which is no linear map of the model; its maps are {string.Join(", ", ends)}.", path + ".target_modules", "unknown_value");
        }
        string[] chosen = [.. modules.Where(module => Names is null ? module != "lm_head" : Names.Any(name => AdapterConfig.Fits(name, module)))
            .Where(module => !Exclude.Any(name => AdapterConfig.Fits(name, module)) && (Layers is null || (LayerOf(module) is { } layer && Layers.Contains(layer))))];
        return chosen.Length > 0 ? chosen : throw new InvalidInputException($"'{path}' leaves no linear map to train.", path + ".target_modules", "unknown_value");
    }

    /// <summary>Whether a text is a name (letters, digits, underscores, dots) and no regular expression.</summary>
    public static bool IsName(string text) => Name().IsMatch(text);

    private static int? LayerOf(string module) => Layer().Match(module) is { Success: true } found ? int.Parse(found.Groups[1].ValueSpan) : null;

    private static string[]? NamesOf(string pattern)
    {
        if (Pattern().Match(pattern) is not { Success: true } found) return null;
        return [.. found.Groups["name"].Captures.Select(name => name.Value)];
    }

    private static IReadOnlyList<string> List(OptionReader reader, string field) => [.. reader.Items(field, Most).Select(item =>
        item.Value.ValueKind == JsonValueKind.String && item.Value.GetString() is { Length: <= 500 } name && IsName(name)
            ? name : throw OptionReader.Invalid(item.Path, $"'{item.Path}' must be the name of a linear map (letters, digits, underscores and dots), not {OptionReader.Shown(item.Value)}."))];

    [GeneratedRegex(@"\A[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*\z", RegexOptions.NonBacktracking)]
    private static partial Regex Name();

    [GeneratedRegex(@"\A\^?\.\*(\\\.)?(\((\?:)?(?<name>[A-Za-z0-9_]+)(\|(?<name>[A-Za-z0-9_]+))*\)|(?<name>[A-Za-z0-9_]+))\$?\z", RegexOptions.ExplicitCapture)]
    private static partial Regex Pattern();

    [GeneratedRegex(@"\.layers\.(\d{1,6})\.")]
    private static partial Regex Layer();
}
