// Makes files of a model for other tools, all or nothing: a folder aside, renamed when it is whole, and a manifest after it. No checkpoint: a new attempt makes the
// same files again. Weights that keep their type are copied byte by byte; no tensor is made of them.
using Gradus.Training.Gguf;
using Gradus.Training.Model;
using Gradus.Training.Stages;

namespace Gradus.Training.Export;

internal static class ExportStage
{
    public static StageResult Run(ExportOptions options, StageContext context)
    {
        var place = new ExportedFiles(context.Request.Folder);
        var stored = context.Find(options.Model);
        options.Require(stored.Folder);
        context.Journal.Begin(1, 1);
        place.Clear();
        Directory.CreateDirectory(place.Aside);
        var began = System.Diagnostics.Stopwatch.StartNew();
        Write(options, stored, place.Aside, context);
        // If we stop here: a folder aside that the next attempt removes.
        KillPoint.Pass("export-written");
        var files = place.Seal(() => context.Progress("hash"));
        if (context.Journal.StopRequested) throw new StageStoppedException();
        Metric[] summary = [new("files", files.Count), new("bytes", files.Sum(file => file.Bytes)), new("export_time", began.Elapsed.TotalSeconds)];
        context.Journal.CommitStep(new(1, summary, []));
        return new(null, null, summary);
    }

    private static void Write(ExportOptions options, StoredModel stored, string folder, StageContext context)
    {
        var origin = context.Catalog.Origin(options.Model.Resolved) ?? new ModelOrigin(options.Model.Resolved, null, []);
        var merged = options.Merge && stored.IsAdapter ? Merge(stored, context) : null;
        if (options.Format == ExportOptions.Peft)
        {
            WriteWeights(stored.Folder, Path.Combine(stored.Folder, Lora.Adapter.WeightsFile), options, folder, context);
            Lora.Adapter.SetParent(folder, BaseName(origin, Lora.Adapter.ParentOf(folder)));
        }
        else if (options.Format == ExportOptions.OneFile)
        {
            context.Progress("write");
            var file = $"{FileName(origin.Name)}-{options.Dtype!.ToUpperInvariant()}.gguf";
            GgufExport.Write(merged ?? stored.Folder, Path.Combine(folder, file), Enum.Parse<GgufType>(options.Dtype.ToUpperInvariant()), origin.Name);
        }
        else if (merged is null) WriteWeights(stored.Folder, stored.Folder, options, folder, context);
        else
        {
            // As the base is stored, unless something else was asked for: its own files say what the model is, too.
            var dtype = options.Dtype ?? ModelDescription.Read(stored.WeightsFolder).Dtype;
            WriteWeights(stored.WeightsFolder, merged, options with { Dtype = dtype is "mixed" ? "float32" : dtype }, folder, context);
        }
        if (merged is not null) Directory.Delete(merged, recursive: true);
        if (options.Format != ExportOptions.OneFile) ModelFolder.CopyTokenizer(stored.TextFolder, folder);
        ExportedCard.Write(folder, stored.Folder, origin, options, context);
    }

    /// <summary>What other tools may know an adapter's base by: the name it was imported under; else its id here.</summary>
    internal static string BaseName(ModelOrigin origin, string id) =>
        origin.Steps.FirstOrDefault(step => step.Model == id) is { Stage: null, Name.Length: > 0 } imported ? imported.Name : id;

    /// <summary>The whole model that an adapter and its base are together, in a folder to be deleted.</summary>
    private static string Merge(StoredModel stored, StageContext context)
    {
        var folder = Path.Combine(context.Request.Folder, "merged.aside");
        context.Progress("merge");
        using var model = stored.Load(context.Request.Device);
        model.MergeAdapter();
        model.Save(folder);
        ModelFolder.CopyTokenizer(stored.TextFolder, folder);
        return folder;
    }

    private static string FileName(string name)
    {
        var plain = string.Concat(name.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-' ? letter : '-')).Trim('-', '.');
        return plain.Length == 0 ? "model" : plain[..Math.Min(plain.Length, 100)];
    }

    /// <param name="from">Whose config is copied.</param>
    /// <param name="weights">A folder or a file of safetensors.</param>
    private static void WriteWeights(string from, string weights, ExportOptions options, string folder, StageContext context)
    {
        foreach (var name in new[] { "config.json", "generation_config.json", Lora.AdapterConfig.File })
        {
            var file = Path.Combine(from, name);
            if (!File.Exists(file) || (name == Lora.AdapterConfig.File && options.Format != ExportOptions.Peft)) continue;
            if (name == "config.json" && options.Dtype is { } dtype) ExportedConfig.Write(file, Path.Combine(folder, name), dtype);
            else File.Copy(file, Path.Combine(folder, name));
        }
        using var source = Safetensors.Open(weights);
        var type = options.Dtype switch { null => null, "float32" => "F32", "float16" => "F16", _ => "BF16" };
        ShardTensor[] tensors = [.. source.Names.Select(name => Tensor(source, name, type, context))];
        if (options.Format == ExportOptions.Peft) SafetensorsShards.Write(Path.Combine(folder, Lora.Adapter.WeightsFile), tensors);
        else SafetensorsShards.Write(folder, tensors, options.MaxShardSize);
    }

    private static ShardTensor Tensor(Safetensors source, string name, string? type, StageContext context)
    {
        var stored = source.TypeOf(name);
        // Only floats have another float's form.
        var wanted = type is not null && stored is "F32" or "F16" or "BF16" ? type! : stored;
        return new(name, wanted, source.Shape(name), stream =>
        {
            context.Progress("write");
            source.Write(name, stream, wanted);
        });
    }
}
