using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;
using Gradus.Training.Recipes;
using Gradus.Training.Stages;
using Npgsql;

namespace Gradus.Api.Jobs;

/// <summary>
/// The child: one attempt of one stage in a process of its own (<c>stage --job ID --attempt N</c>), so that whatever ends it costs that attempt alone. It
/// reads its launch from standard input, trains on this thread, and writes its outcome into the database under its stamp; the exit code says nothing.
/// SIGTERM means: save a checkpoint at the next step's end and leave.
/// </summary>
internal static class StageProcess
{
    public static int Run(string[] args)
    {
        if (args is not ["--job", var jobId, "--attempt", var number] || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var attempt))
        {
            Console.Error.WriteLine("A stage is started by a worker: stage --job ID --attempt N, with its launch on standard input.");
            return 2;
        }

        Posix.LeadGroup();
        var launch = StageLaunch.Read(Console.In.ReadLine());
        WatchParent();
        using var database = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(launch.Connection) { MaxPoolSize = 4, ApplicationName = "gradus stage" });
        var description = DatabaseAway.OutlastAsync(() => JobLease.DescribeAsync(database, jobId, attempt, CancellationToken.None), Waiting, CancellationToken.None).GetAwaiter().GetResult();
        if (description is null)
        {
            Console.Error.WriteLine($"Attempt {attempt} of {jobId} is not the running one.");
            return 3;
        }

        Attempt(launch, database, description);
        return 0;
    }

    /// <summary>Ends this process and all it started, at once.</summary>
    internal static void Die()
    {
        Posix.Send(0, Posix.Kill);
        Environment.FailFast("The process could not be killed.");
    }

    private static void Attempt(StageLaunch launch, NpgsqlDataSource database, AttemptDescription description)
    {
        // If we stop here: the attempt was claimed and has written nothing; it counts as a crash and the next one does all of it.
        KillPoint.Pass("attempt-before-begin");
        var lease = new JobLease(database, description.JobId, description.Stamp);
        var keeper = new LeaseKeeper(launch, description.JobId, description.Stamp);
        Func<JobLease, Task<bool>> lastWord;
        try
        {
            var request = Request(launch, description);
            var journal = new PostgresRunJournal(new RunStore(database), lease, keeper, request);
            using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
            {
                signal.Cancel = true;
                journal.RequestStop();
            });
            Directory.CreateDirectory(request.Folder);
            var catalog = new PostgresCatalog(database, Waiting);
            var result = RunStage(request, journal, catalog);
            lastWord = StageOutcome.Success(description, request, result, catalog);
        }
        catch (LeaseLostException lost)
        {
            Console.Error.WriteLine(lost.Message);
            Die();
            throw;
        }
        catch (Exception problem)
        {
            if (problem is not StageStoppedException) Console.Error.WriteLine(problem);
            lastWord = StageOutcome.Of(problem, keeper.Phase, new JobClaims(database));
        }

        keeper.Dispose();
        // If we stop here: what the stage made lies on disk and no row names it; the next attempt goes on from the last checkpoint and makes it again.
        KillPoint.Pass("outcome-before-row");
        DatabaseAway.OutlastAsync(() => lastWord(lease), Waiting, CancellationToken.None).GetAwaiter().GetResult();
        // If we stop here: the outcome stands; the worker reads it in the row, whatever the exit code.
        KillPoint.Pass("outcome-after-row");
    }

    private static StageRequest Request(StageLaunch launch, AttemptDescription description)
    {
        var options = Recipe.Resolve(description.Options, (stage, kind) =>
        {
            var product = description.Products.FirstOrDefault(product => product.Name == stage);
            return (kind == Artifact.Model ? product?.ModelId : product?.DatasetId)
                ?? throw new InvalidInputException($"The stage '{stage}' made no {kind.ToString().ToLowerInvariant()}, or it was deleted.", stage, "invalid_reference");
        });
        var device = description.Devices[0][(description.Devices[0].LastIndexOf('/') + 1)..];
        return new StageRequest(
            description.JobId, description.Stage, options, description.Seed, Path.Combine(launch.StateFolder, "jobs", description.JobId), description.Stamp,
            [.. description.Checkpoints.Select(checkpoint => new CheckpointRecord(checkpoint.Step, checkpoint.Uri))], device);
    }

    private static StageResult RunStage(StageRequest request, IRunJournal journal, ICatalog catalog)
    {
#if KILL_POINTS
        if (request.Stage == ToyStage.Name) return ToyStage.Run(request, journal);
#endif
        TorchSharp.torch.set_num_threads(Environment.ProcessorCount);
        LoadedBlas.RefuseReference();
        if (request.Options.TryGetProperty("dtype", out var dtype) && dtype.ValueKind == JsonValueKind.String && dtype.GetString() == "bf16") LoadedBlas.UseOneThread();
        return StageRunner.Run(request, journal, catalog, CancellationToken.None);
    }

    /// <summary>The end of standard input is the worker's death, however it died: nobody is left to end this process then.</summary>
    internal static void WatchParent()
    {
        var thread = new Thread(() =>
        {
            var input = Console.OpenStandardInput();
            var buffer = new byte[64];
            try
            {
                while (input.Read(buffer) > 0)
                {
                }
            }
            catch (IOException)
            {
                // As good as its end.
            }

            Die();
        }) { IsBackground = true, Name = "parent" };
        thread.Start();
    }

    private static void Waiting(Exception problem) => Console.Error.WriteLine("The database is away; waiting for it: " + problem.Message);
}
