using System.Globalization;
using System.Text;
using System.Text.Json;
using Gradus.Training.Checkpoints;
using Gradus.Training.Model;
using Gradus.Training.Stages;

namespace Gradus.Training.Export;

/// <summary>The card of an exported model (README.md, with Hugging Face's front matter): what made it, of what, how well it did, and under which licence. A card that came with the model stays as it is.</summary>
internal static class ExportedCard
{
    private static readonly JsonSerializerOptions indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the card, and the licence texts of the model or of the nearest one it was made of.</summary>
    /// <param name="source">The model's own folder.</param>
    public static void Write(string folder, string source, ModelOrigin origin, ExportOptions options, StageContext context)
    {
        foreach (var from in origin.Steps.Skip(1).Select(step => FolderOf(step.Model, context)).Prepend(source).OfType<string>())
        {
            var texts = ModelFolder.CardFiles.Where(name => name != "README.md" && File.Exists(Path.Combine(from, name))).ToArray();
            foreach (var name in texts) File.Copy(Path.Combine(from, name), Path.Combine(folder, name));
            if (texts.Length > 0) break;
        }
        var card = Path.Combine(folder, "README.md");
        if (File.Exists(Path.Combine(source, "README.md"))) File.Copy(Path.Combine(source, "README.md"), card);
        else File.WriteAllText(card, Text(origin, options));
    }

    internal static string Text(ModelOrigin origin, ExportOptions options)
    {
        var text = new StringBuilder("---\n");
        if (origin.License is { } license) text.Append(CultureInfo.InvariantCulture, $"license: {JsonSerializer.Serialize(license)}\n");
        if (origin.Steps is [_, .., { Stage: null } root]) text.Append(CultureInfo.InvariantCulture, $"base_model: {JsonSerializer.Serialize(root.Name, indented)}\n");
        text.Append(options.Format == ExportOptions.Peft ? "library_name: peft\n" : "library_name: transformers\n").Append("pipeline_tag: text-generation\ntags:\n- gradus\n");
        foreach (var stage in origin.Steps.Select(step => step.Stage).OfType<string>().Distinct()) text.Append(CultureInfo.InvariantCulture, $"- {stage}\n");
        text.Append(CultureInfo.InvariantCulture, $"---\n\n# {Line(origin.Name)}\n\n");
        text.Append(origin.License is null ? "Its licence is not known here: it is that of the models and data it was made of.\n" : $"Licence: {Line(origin.License)}, as the model it was made of says.\n");
        text.Append("\n## How it was made\n\nThe last step first.\n");
        foreach (var step in origin.Steps) Step(text, step);
        text.Append("\n## Versions\n\n");
        foreach (var (name, value) in ComputeEnvironment.Current()) text.Append(CultureInfo.InvariantCulture, $"- {name}: {Line(value)}\n");
        return text.ToString();
    }

    private static void Step(StringBuilder text, OriginStep step)
    {
        text.Append(CultureInfo.InvariantCulture, $"\n### {Line(step.Name)} ({step.Model})\n\n");
        if (step.Stage is null)
        {
            text.Append(step.Source is { } source ? $"Imported: `{Line(source.GetRawText())}`\n" : "Built in.\n");
            return;
        }
        text.Append(CultureInfo.InvariantCulture, $"Stage {step.Stage}{(step.Recipe is { } recipe ? $" of the recipe {Line(recipe)}" : "")}, run {step.Run}, seed {step.Seed}.\n");
        if (Datasets(step.Options) is { Length: > 0 } datasets) text.Append(CultureInfo.InvariantCulture, $"\nData: {string.Join(", ", datasets.Select(Line))}\n");
        if (step.Options is { } options) text.Append(CultureInfo.InvariantCulture, $"\nOptions:\n\n```json\n{JsonSerializer.Serialize(options, indented)}\n```\n");
        if (step.Result is not { ValueKind: JsonValueKind.Object } result || !result.EnumerateObject().Any()) return;
        text.Append("\n| metric | at the end |\n|---|---|\n");
        foreach (var metric in result.EnumerateObject()) text.Append(CultureInfo.InvariantCulture, $"| {Line(metric.Name)} | {Line(metric.Value.GetRawText())} |\n");
    }

    private static string[] Datasets(JsonElement? options)
    {
        if (options is not { ValueKind: JsonValueKind.Object } given) return [];
        JsonElement[] named = [
            .. given.TryGetProperty("dataset", out var one) ? [one] : Array.Empty<JsonElement>(),
            .. given.TryGetProperty("datasets", out var several) && several.ValueKind == JsonValueKind.Array ? several.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Object && item.TryGetProperty("dataset", out var inner) ? inner : default) : []];
        return [.. named.Where(name => name.ValueKind is JsonValueKind.String or JsonValueKind.Object).Select(name => name.ToString())];
    }

    private static string? FolderOf(string model, StageContext context)
    {
        try
        {
            return context.Catalog.ModelFolder(model);
        }
        catch (InvalidInputException)
        {
            return null; // deleted since
        }
    }

    /// <summary>Names come from outside: on one line, and nothing in them is markup.</summary>
    private static string Line(string text) => new([.. text.Select(letter => char.IsControl(letter) || letter is '`' or '<' or '>' or '|' or '[' or ']' ? ' ' : letter)]);
}
